import ast
from collections.abc import Iterator

from harness.audit.finding import Answer, Rule, Severity, Subject
from harness.audit.syntax import at_once

_CONNECTING = frozenset(
    {
        *("psycopg2.connect", "psycopg.connect", "psycopg.Connection.connect", "MySQLdb.connect", "pymysql.connect"),
        *(
            "mysql.connector.connect",
            "sqlite3.connect",
            "pika.BlockingConnection",
            "oracledb.connect",
            "pyodbc.connect",
        ),
        *("smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP", "imaplib.IMAP4", "imaplib.IMAP4_SSL"),
        "socket.create_connection",
    }
)


def check(subject: Subject) -> Iterator[Answer]:
    for module in subject.code.modules.values():
        for node in at_once(module.tree.body):
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                name = subject.code.dotted(node.value.func, module) or ""
                if name in _CONNECTING or name.endswith("create_engine().connect"):
                    what = f"{name} opens a connection when {module.name} is imported"
                    yield subject.call(node.value, module, None, what)


RULE = Rule(
    name="connection-before-fork",
    severity=Severity.ERROR,
    failure_modes=("F61",),
    asks="no connection is opened where the module is imported",
    hurts="every pool child is forked with the same socket: they read each other's answers, and one that ends "
    "closes it for all",
    fix="open it in the task, lazily, or in a worker_process_init receiver",
    check=check,
    reads="modules",
)
