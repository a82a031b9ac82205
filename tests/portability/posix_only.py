"""Finds, in Python source, what Windows has not, outside of places that ask for the system first."""

import ast
from collections.abc import Iterator

_MODULES = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty"}
_NAMES = {
    "os": set(
        "chown chroot ctermid eventfd fchmod fchown fdatasync fork forkpty getegid geteuid getgid getgroups getloadavg "
        "getpgid getpgrp getpriority getresuid getsid getuid getxattr kill killpg lchown lockf major memfd_create "
        "mkfifo mknod nice openpty O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC pidfd_open pipe2 posix_fadvise "
        "posix_fallocate posix_spawn pread pwrite readv register_at_fork rename sched_getaffinity sched_setaffinity "
        "sendfile "
        "setgid setpgid setpriority setsid setuid setxattr statvfs symlink link sync sysconf tcgetpgrp ttyname "
        "uname wait waitid wait3 wait4 WEXITSTATUS WIFEXITED WIFSIGNALED WNOHANG WTERMSIG writev".split()
    ),
    "signal": set(
        "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU "
        "SIGUSR1 SIGUSR2 SIGWINCH alarm pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending "
        "sigtimedwait sigwait sigwaitinfo".split()
    ),
    "socket": {"AF_UNIX", "SO_REUSEPORT", "socketpair_unix"},
    "time": {"clock_gettime", "clock_gettime_ns", "clock_settime", "pthread_getcpuclockid", "tzset"},
    "select": {"epoll", "kqueue", "poll", "select"},
    "asyncio": {"add_signal_handler"},
}
_METHODS = {"add_signal_handler", "hardlink_to", "symlink_to", "is_mount"}
_ARGUMENTS = {"preexec_fn", "start_new_session", "pass_fds", "process_group"}
_PLACES = ("/dev/", "/proc/", "/sys/", "/tmp", "/etc/", "/usr/", "/var/")
_ASKS = {"sys.platform", "os.name", "platform.system"}
_TEXT_IN_OUT = {"read_text": 0, "write_text": 1}
_CATCHING = {"AttributeError", "ImportError", "ModuleNotFoundError", "NotImplementedError"}


def posix_only(source: str) -> list[str]:
    """Return "line: what" for all that Windows has not, and for text that is read or written in its own code page."""
    return [f"{line}: {what}" for line, what in sorted({*_found(ast.parse(source), guarded=False)})]


def _found(node: ast.AST, *, guarded: bool) -> Iterator[tuple[int, str]]:
    guarded = guarded or _guards(node)
    if not guarded:
        yield from ((node.lineno, what) for what in _seen(node))
    for child in ast.iter_child_nodes(node):
        yield from _found(child, guarded=guarded)


def _guards(node: ast.AST) -> bool:
    if isinstance(node, (ast.If, ast.IfExp)):
        return _asks(node.test)
    if isinstance(node, ast.comprehension):
        return any(map(_asks, node.ifs))
    if isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
        return any(_guards(each) for each in node.generators)
    if isinstance(node, ast.Try):
        caught = {ast.unparse(handler.type) for handler in node.handlers if handler.type}
        return any(name in _CATCHING for each in caught for name in each.strip("()").split(", "))
    return False


def _asks(test: ast.expr) -> bool:
    return any(
        (isinstance(each, ast.Attribute) and ast.unparse(each) in _ASKS)
        or (isinstance(each, ast.Call) and ast.unparse(each.func) == "hasattr")
        for each in ast.walk(test)
    )


def _seen(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"import {each.name}" for each in node.names if each.name in _MODULES)
    elif isinstance(node, ast.ImportFrom):
        names = {each.name for each in node.names}
        yield from (f"{node.module}.{name}" for name in names & _NAMES.get(node.module or "", set()))
        if node.module in _MODULES:
            yield f"import {node.module}"
    elif isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.attr in _NAMES.get(node.value.id, ()):
            yield f"{node.value.id}.{node.attr}"
        elif node.attr in _METHODS:
            yield f".{node.attr}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(_PLACES):
        yield repr(node.value)[:40]
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    named = {each.arg for each in node.keywords}
    yield from (f"{name}=" for name in named & _ARGUMENTS)
    called = ast.unparse(node.func)
    name = called.rpartition(".")[2]
    if "encoding" in named:
        return
    if called.startswith("subprocess.") and named & {"text", "universal_newlines"}:
        yield f"{called}(text=...) without encoding"
    elif "." in called and name in _TEXT_IN_OUT and len(node.args) <= _TEXT_IN_OUT[name]:
        yield f".{name} without encoding"
    elif name == "open" and _is_text_mode(node, at=1 if called in ("open", "io.open", "gzip.open") else 0):
        yield "open without encoding"


def _is_text_mode(node: ast.Call, at: int) -> bool:
    given = [*node.args[at : at + 1], *(each.value for each in node.keywords if each.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if not given:
        return ast.unparse(node.func) == "open"
    return any(set(mode) <= set("rwaxt+") and len(node.args) < at + 3 for mode in modes)
