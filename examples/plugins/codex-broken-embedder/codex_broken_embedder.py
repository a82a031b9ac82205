"""A plugin whose library is missing, as happens after half an upgrade."""

import a_library_that_is_not_installed  # noqa: F401
