#!/usr/bin/env python3
"""An S3 server for tests: moto's, from PyPI, with keys that count.

  _s3_server.py serve --port PORT   runs a server on 127.0.0.1 until SIGTERM; prints one line of JSON when it answers

The line tells the port, the bucket that is there (`vitrina`), and two keys: `writer` may do everything, `reader` may list and read. Requests with other keys,
or signed with another secret, are refused as S3 refuses them. Objects live in the process: a server begins empty.

Requests are answered one at a time. S3 decides which of two conditional puts comes first; moto's threads would let both through.
"""
import argparse
import json
import os
import signal
import sys
import threading

os.environ["MOTO_ALLOW_NONEXISTENT_REGION"] = "true"

BUCKET = "vitrina"
ACCOUNT = "123456789012"
POLICIES = {"writer": ["s3:*"], "reader": ["s3:Get*", "s3:List*", "s3:Head*"]}


def make_keys():
    """Makes the users while nobody is asked who he is."""
    from moto.iam.models import iam_backends

    iam, keys = iam_backends[ACCOUNT]["aws"], {}
    for name, actions in POLICIES.items():
        iam.create_user("us-east-1", name, path="/", tags=[])
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(name, "all", json.dumps(policy))
        key = iam.create_access_key(name)
        keys[name] = {"id": key.access_key_id, "secret": key.secret_access_key}
    return keys


def one_at_a_time(application):
    lock = threading.Lock()

    def answer(environ, start_response):
        # A space is written either way; moto signs what it reads as it stands.
        for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI"):
            if name in environ:
                environ[name] = environ[name].replace("+", "%20")
        with lock:
            return list(application(environ, start_response))

    return answer


def serve(port):
    from moto import settings
    from moto.s3.models import s3_backends
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log_request(self, *_):
            pass

    keys = make_keys()
    s3_backends[ACCOUNT]["aws"].create_bucket(BUCKET, "us-east-1")
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    application = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Silent)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(json.dumps({"port": server.server_port, "bucket": BUCKET, "keys": keys}), flush=True)
    server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["serve"])
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit(serve(arguments.port))


if __name__ == "__main__":
    main()
