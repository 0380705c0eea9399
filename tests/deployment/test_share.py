"""A model card that the hub reads as it is; push and pull against a hub of the test's own, on loopback."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import headstart
from headstart.core import digest, errors
from headstart.data.demo.tickets import write_tickets
from headstart.deployment import card_file, share
from headstart.reporting import markdown, modelcard
from headstart.workflows import fit

hub_library = pytest.importorskip("huggingface_hub")
TOKEN = "hf_thisIsASecretThatNobodyMaySee"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("share")
    return fit.fit(write_tickets(place), into=place / "run", root=place / "cache", backbone="stats:text").folder


# The card


def test_the_hub_s_own_library_reads_the_header(run, tmp_path):
    readme, page = headstart.card(run, into=tmp_path)
    card = hub_library.ModelCard.load(readme)
    facts, result = card.data.to_dict(), json.loads((run / "result.json").read_text())
    assert facts["license"] == "apache-2.0" and facts["library_name"] == "headstart"
    assert facts["pipeline_tag"] == "text-classification" and {"headstart", "logistic"} <= set(facts["tags"])
    measured = {m.metric_type: m.metric_value for m in card.data.eval_results}
    assert measured["accuracy"] == pytest.approx(result["metrics"]["accuracy"]["value"], abs=1e-6)
    text = readme.read_text()
    for part in ("How to use it", "Data", "Figures", "Findings", "Intended use and limits", "not tested on", "Licence"):
        assert f"## {part}" in text or part in text
    head = result["metrics"]["accuracy"]
    assert f"{100 * head['low']:.1f} to {100 * head['high']:.1f} %" in text, "a figure has its interval"
    assert str(run) not in text and str(run.parent) not in text, "no path of this machine"
    assert "<h1>" in page.read_text() and "default-src 'none'" in page.read_text()


def test_a_card_of_a_folder_without_its_run(run, tmp_path):
    shutil.copytree(run / "model", tmp_path / "model")
    readme, _ = headstart.card(tmp_path / "model", licence="MIT")
    assert hub_library.ModelCard.load(readme).data.license == "mit"
    headstart.card(tmp_path / "model")  # its own may be replaced
    readme.write_text("# Mine\n")
    with pytest.raises(errors.ArtifactError, match=r"left as it is.*--into"):
        headstart.card(tmp_path / "model")
    assert readme.read_text() == "# Mine\n"


def test_names_from_the_data_stay_names(run):
    result = share.result_facts(run / "model")
    nasty = ["a|b", "<script>x</script>", "[l](javascript:1)", '"---\n', "\u2028\x00\ud800"]
    result = {**result, "source": 'x/"q": &*\n- [é', "task": {**result["task"], "classes": nasty}}
    text = markdown.markdown(result, "DIR")
    assert "<script>" not in text and "[l](" not in text
    card = hub_library.ModelCard(text)
    assert card.data.eval_results[0].dataset_name.startswith('"q": &*')
    assert "<script>x" not in markdown.card_page(result, "DIR")


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("timm:resnet50.a1_in1k", "timm/resnet50.a1_in1k"),
        ("timm:hf-hub:owner/net", "owner/net"),
        ("transformers:intfloat/e5-small-v2?prompt=query: ", "intfloat/e5-small-v2"),
        ("clip:google/siglip2-base-patch16-224", "google/siglip2-base-patch16-224"),
        ("timm:/home/me/net", ""),
        ("transformers:./net", ""),
        ("own:vision-small", ""),
        ("vector:6", ""),
    ],
)
def test_the_base_is_named_where_the_hub_knows_it(backbone, name):
    assert modelcard.hub_name(backbone) == name


def test_an_unknown_licence_is_called_other(run):
    result = share.result_facts(run / "model")
    result["backbone"] = {**result["backbone"], "licence": "Weird Licence 1.0"}
    facts = hub_library.ModelCard(markdown.markdown(result, "DIR")).data.to_dict()
    assert facts["license"] == "other" and facts["license_name"] == "weird-licence-1.0"


def test_the_command_says_what_it_wrote(run, remote, tmp_path):
    done = json.loads(command(remote, "card", str(run), "--into", str(tmp_path / "c"), "--json").stdout)
    assert Path(done["card"]).is_file() and Path(done["page"]).is_file() and not remote.seen
    assert "not a model folder" in command(remote, "card", str(tmp_path), code=2).stderr
    for verb in ("card", "push", "pull"):
        assert f"headstart {verb}" in command(remote, verb, "--help").stdout


# Push and pull


class Hub:
    """As much of the hub's HTTP as huggingface_hub 2.4 uses to make a repository, commit to it and download from it."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.private: bool | None = None
        self.status, self.url = 0, ""
        self.seen: list[str] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict, bytes]:
        self.seen.append(f"{method} {path}")
        if self.status:
            return self.status, {}, b'{"error": "no"}'
        if path == "/api/repos/create":
            if self.private is not None:
                return 409, {}, json.dumps({"error": "there already", "url": f"{self.url}/me/defects"}).encode()
            self.private = json.loads(body)["visibility"] == "private"
            return 200, {}, json.dumps({"url": f"{self.url}/me/defects"}).encode()
        if path == "/api/validate-yaml":
            return 200, {}, b'{"errors": [], "warnings": []}'
        if path.startswith("/api/models/me/defects/preupload"):
            asked = json.loads(body)["files"]
            told = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
            return 200, {}, json.dumps({"files": told}).encode()
        if path.startswith("/api/models/me/defects/commit"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.url}/me/defects/commit/{'a' * 40}"
            return 200, {}, json.dumps({"commitUrl": url, "commitOid": "a" * 40, "success": True}).encode()
        if path.startswith("/api/models/me/defects"):
            siblings = [{"rfilename": n, "size": len(c)} for n, c in self.files.items()]
            facts = {"id": "me/defects", "private": bool(self.private), "sha": "a" * 40, "siblings": siblings}
            return 200, {}, json.dumps({**facts, "tags": [], "downloads": 0, "likes": 0}).encode()
        if path.startswith("/me/defects/resolve/"):
            content = self.files[path.split("/", 5)[5]]
            tag = hashlib.sha256(content).hexdigest()
            return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": "a" * 40}, content
        return 404, {}, b"{}"


@pytest.fixture
def remote(monkeypatch):
    """A hub on loopback, and the environment in which a user would reach it."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.command, self.path.partition("?")[0], body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()


def command(remote: Hub, *words: str, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess:
    surroundings = {**os.environ, "HF_ENDPOINT": remote.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
    surroundings |= {"HF_HUB_DISABLE_XET": "1", "PYTHONWARNINGS": "error"}
    line = [sys.executable, "-m", "headstart.cli", *words]
    done = subprocess.run(line, capture_output=True, text=True, env=surroundings, cwd=cwd, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert TOKEN not in done.stdout + done.stderr and "Traceback" not in done.stderr
    return done


def test_what_was_pushed_can_be_pulled_and_answers(run, remote, tmp_path):
    done = json.loads(command(remote, "push", str(run), "me/defects", "--json").stdout)
    assert done["private"] and remote.private
    assert set(remote.files) == {"card.json", "delta.safetensors", "witness.npz", "README.md"}
    assert remote.files["delta.safetensors"] == (run / "model" / "delta.safetensors").read_bytes()
    assert b"headstart pull me/defects" in remote.files["README.md"]
    assert not (run / "model" / "README.md").exists(), "a push leaves the folder as it is"
    told = command(remote, "pull", "me/defects", cwd=tmp_path).stdout
    place = tmp_path / "models" / "defects"
    assert "models/defects" in told and sorted(p.name for p in place.iterdir()) == sorted(remote.files)
    assert not list((tmp_path / "models").glob(".*")), "nothing is left behind"
    (answer,) = headstart.predict(place, ["where is my parcel?"])
    (same,) = headstart.predict(run, ["where is my parcel?"])
    assert answer.label == same.label and answer.confidence == same.confidence
    assert "is there already" in command(remote, "pull", "me/defects", code=2, cwd=tmp_path).stderr


def test_a_public_repository_is_not_taken_for_a_private_one(run, remote):
    remote.private = False
    assert "--public" in command(remote, "push", str(run), "me/defects", code=2).stderr
    assert not remote.files
    assert "anyone can read them" in command(remote, "push", str(run), "me/defects", "--public").stdout


@pytest.mark.parametrize(("status", "words"), [(401, "hf auth login"), (403, "right to write"), (500, "try again")])
def test_a_refusal_says_what_to_do(run, remote, status, words):
    remote.status = status
    done = command(remote, "push", str(run), "me/defects", "--json", code=2)
    assert words in done.stderr and json.loads(done.stdout)["kind"] == "HubError"


def spoiled(remote: Hub, **changes: bytes) -> None:
    remote.files |= changes
    facts = json.loads(remote.files["card.json"])
    facts["files"] = {n: digest_of(remote.files[n]) for n in facts["files"]}
    remote.files["card.json"] = resealed(facts)


def resealed(facts: dict) -> bytes:
    del facts["digest"]
    return card_file.write_text(facts).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()}"


def test_what_a_stranger_offers_is_looked_over_first(run, remote, tmp_path):
    command(remote, "push", str(run), "me/defects")
    assert digest.of_files([run / "model" / "delta.safetensors"]) == digest_of(remote.files["delta.safetensors"])
    good = dict(remote.files)
    spoiled(remote, **{"delta.safetensors": b"\x80\x04K\x01."})
    assert "cut short" in command(remote, "pull", "me/defects", code=2, cwd=tmp_path).stderr
    remote.files = dict(good)
    facts = json.loads(good["card.json"])
    facts["files"]["../evil.json"] = "sha256:0"
    remote.files["card.json"] = resealed(facts)
    assert "no '..'" in command(remote, "pull", "me/defects", code=2, cwd=tmp_path).stderr
    remote.files = {n: c for n, c in good.items() if n != "witness.npz"}
    said = command(remote, "pull", "me/defects", code=2, cwd=tmp_path).stderr
    assert "me/defects has no witness.npz" in said
    remote.files = {"README.md": b"a network of another kind"}
    assert "no model of Headstart" in command(remote, "pull", "me/defects", code=2, cwd=tmp_path).stderr
    assert not list(tmp_path.rglob("*.json")) and not (tmp_path / "models" / "defects").exists()


def test_nothing_is_sent_where_the_hub_is_forbidden(run, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(errors.HubError, match="HF_HUB_OFFLINE forbids"):
        headstart.push(run, "me/defects")
    with pytest.raises(errors.HubError, match="named owner/name"):
        headstart.pull("defects")
