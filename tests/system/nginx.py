"""nginx as a reverse proxy of one upstream, asked once: a master, a worker, edge-triggered."""

import grp
import http.client
import os
import pwd
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.system.daemon import BOUND_S, end, eventually, spawn

CONFIG = """
daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ use epoll; }}
http {{
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
	uwsgi_temp_path tmp; scgi_temp_path tmp;
	server {{
		listen unix:{prefix}/socket;
		location / {{ proxy_pass http://{ip}:{port}; }}
	}}
}}
"""


def get(ip, port, environment):
    """One GET through an nginx of its own; the answer and what its log says of the upstream."""
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        prefix = Path(name)
        (prefix / "tmp").mkdir()
        (prefix / "nginx.conf").write_text(
            CONFIG.format(user=_user(), prefix=prefix, ip=ip, port=port)
        )
        command = ["nginx", "-p", prefix, "-c", "nginx.conf", "-e", "error.log"]
        process = spawn(command, env=environment)
        try:
            where = _listening(prefix, process)
            status, body = _ask(where)
        finally:
            end(process)
        log = (prefix / "error.log").read_text()
    failed = re.findall(r"connect\(\) failed \(.*?\) while connecting to upstream", log)
    return subprocess.CompletedProcess(command, status != 200, f"{status} {body}", str(failed))


def _user():
    """The worker of an nginx that root starts gives up root for another user, who may not read
    a test's directories; let it stay."""
    if os.getuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"


def _listening(prefix, process):
    def answers():
        assert process.poll() is None, (prefix / "error.log").read_text()
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(prefix / "socket")) == 0

    eventually(answers, what="nginx")
    return str(prefix / "socket")


def _ask(where):
    connection = http.client.HTTPConnection("nginx", timeout=BOUND_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(BOUND_S)
    connection.sock.connect(where)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
