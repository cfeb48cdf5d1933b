import dataclasses
import re
import tomllib

import pytest

from markerremover import site_profile
from markerremover.cli import main
from markerremover.configuration import command_options as configured
from markerremover.configuration import printing, reading
from markerremover.configuration.settings import allowed
from markerremover.errors import UsageError
from markerremover.options import DEFAULT_IGNORE, RunOptions
from markerremover.records import STYLES
from markerremover.run import batch
from markerremover.system import toml_lines

EVERY = [(name, one) for name, record in reading.TABLES.items() for one in dataclasses.fields(record)]
NODE = '[[destinations]]\nname = "a"\nkind = "dicom"\nhost = "h"\nport = 1\nae_title = "A"\n'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "markerremover.toml"


def read(path, text):
    path.write_text(text)
    return reading.read(path)


def test_the_printed_file_reads_back_to_the_defaults(path):
    assert read(path, printing.text()) == dataclasses.replace(reading.Configuration(), path=path, sha256=reading.read(path).sha256, site=reading.read(path).site)
    site = reading.read(path).site
    assert (site.policy(), site.weights, site.allow_modality) == (site_profile.SiteProfile().policy(), None, ())
    assert reading.read(path).run_options(time_limit=None) == dataclasses.replace(RunOptions(site=site), workers=None)


def test_the_examples_of_the_printed_file_read_too(path):
    text = printing.text().replace("#: ", "").replace('engine = "local"', 'engine = "ray"').replace("tls = false", "tls = true")
    text = text.replace('login_file = "archive.login"', "")  # excludes token_file
    configuration = read(path, text)
    assert [one.kind for one in configuration.destinations] == ["dicom", "dicomweb", "folder"] and configuration.destinations[0].port == 4242
    assert configuration.loop.site == path.parent / "site" and configuration.headers.key == path.parent / "site.key" and configuration.run.workers == 2


def test_a_file_that_says_nothing_and_an_old_site_profile_are_valid(path):
    assert read(path, "").run_options().policy == RunOptions().policy
    configuration = read(path, 'weights = "w.onnx"\nthreshold = 0.3\nphrases = ["AP ERECT"]\n[keep]\nD = "right"\n')
    assert configuration.site == site_profile.read(path) and configuration.run_options().policy.keep == ("D", "AP ERECT")
    assert configuration.run_options().weights == path.parent / "w.onnx"


def test_what_a_file_says_of_other_tables_leaves_its_site_profile_alone(path):
    configuration = read(path, f'threshold = 0.3\n[node]\nport = 4000\n{NODE}')
    assert site_profile.read(path) == configuration.site and configuration.site.threshold == 0.3 and configuration.node.port == 4000
    assert set(site_profile.TABLES) == {*reading.TABLES, reading.LIST}


@pytest.mark.parametrize("text, line, message", [
    ("# a\n[run]\n\nworkers = 0\n", 4, "run.workers is 0, allowed is a whole number, 1 or more"),
    ("[run]\nworkers = true\n", 2, "run.workers is True"), ("[run]\nworkers = 1.5\n", 2, "a whole number"),
    ("[removal]\nmargin = nan\n", 2, "allowed is a number, 0 to 2"), ('[removal]\nstyle = "black"\n', 2, f"allowed is one of {', '.join(STYLES)}"),
    ('[run]\nworker = 2\n', 2, "unknown key 'worker' in [run] (is workers meant?), allowed are workers, device"),
    ('threshold = 0.5\n[nodes]\nport = 1\n', 2, "unknown key 'nodes'"), ('\n\nthreshold = 7\n', 3, "threshold is 7"),
    ('[keep]\nL = "left"\nX = "up"\n', 3, "keep.X is 'up'"), ('[groups]\nbed = ["AT BED"]\nx = ["A"]\n', 3, "cannot name a group"),
    ('a = 1\n', 1, "unknown key 'a'"), ('run = 3\n', 1, "run is 3, allowed is a table [run]"), ('destinations = 3\n', 1, "allowed are tables [[destinations]]"),
    ('[headers]\nretain = [\n "age",\n "name"]\n', 2, "allowed is a list of age, sex, size, weight"), ('[headers]\nkey = ""\n', 2, "the path of a file"),
    (NODE + NODE, 8, "name is 'a', which an earlier destination has"), (NODE.replace("port = 1\n", ""), 3, "a destination of kind dicom needs port"),
    (NODE + NODE.replace('"a"', '"b"').replace("port = 1", "port = 99999"), 11, "1 to 65535"), (NODE.replace('name = "a"\n', ""), 1, "lacks name"),
    (NODE + 'url = "https://x"\n', 7, "url is set, but kind is 'dicom'"), ('[node]\nport = 1\nae_title = "SEVENTEEN LETTERS"\n', 3, "1 to 16 ASCII"),
    ('[node]\ncallers = ["A", "B\\\\"]\n', 2, "1 to 16 ASCII"), ('[node]\nport = 1\ntls_ca = "x"\n', 3, "tls_ca is set without tls_certificate"),
    ('[node]\nport = 1\nhost = "0.0.0.0"\n', 3, "name the AE titles"), ('[node]\naddresses = ["here"]\n', 2, "allowed are IP addresses"),
    ('[loop]\nleast = 9\nlatest = 8\n', 2, "at most latest"), ("[loop]\nstart = true\n", 2, "start is true without site"),
])
def test_a_message_names_the_line_and_what_is_allowed(path, text, line, message):
    with pytest.raises(UsageError) as caught:
        read(path, text)
    assert str(caught.value).startswith(f"{path}, line {line}: ") and message in str(caught.value)


@pytest.mark.parametrize("text, message", [
    ("[run\n", "not a TOML file .*line 1"), ("a = [" * 3000, "not a TOML file"), ('[headers]\nmode = "keep"\nretain = ["age"]\n', "do not go with --headers keep"),
])
def test_what_is_no_toml_or_excludes_each_other_is_an_error(path, text, message):
    with pytest.raises(UsageError, match=message):
        read(path, text)


@pytest.mark.parametrize("url, user, right", [
    ("https://h/dicom-web", True, True), ("http://127.0.0.1:8042/dicom-web", True, True), ("http://h/dicom-web", False, True),
    ("http://h/dicom-web", True, False), ("https://me:secret@h/", False, False), ("ftp://h/", False, False), ("h/dicom-web", False, False),
])
def test_a_password_never_travels_in_clear_text_nor_stands_in_an_address(path, url, user, right):
    text = f'[[destinations]]\nname = "w"\nkind = "dicomweb"\nurl = "{url}"\n' + ('token_file = "t"\n' if user else "")
    if right:
        assert read(path, text).destinations[0].token_file == (path.parent / "t" if user else None)
    else:
        with pytest.raises(UsageError, match="line 4: .*url is"):
            read(path, text)


@pytest.mark.parametrize("name, one", EVERY, ids=lambda part: part if isinstance(part, str) else part.name)
def test_every_setting_says_what_it_may_be_and_refuses_what_it_may_not(path, name, one):
    limits = allowed(one)
    assert limits.meaning and (one.default is not None or limits.example is not None)
    wrong = '"no such thing"' if limits.kind not in ("text", "path") else "17"
    with pytest.raises(UsageError, match=f"line 2: .*{name}.{one.name} is .*allowed is"):
        read(path, f"[{name}]\n{one.name} = {wrong}\n")


def test_lines_of_statements_over_several_lines_of_inline_tables_and_of_dotted_keys():
    text = 'a = """\n[b]\nc = 1\n"""\nb.c = [\n1,\n]\nd = { e = 1, f = 2 }\n'
    assert [toml_lines.line_of(text, keys) for keys in (["a"], ["b", "c"], ["d", "f"], ["x"], ["b", 0])] == [1, 5, 8, None, None]
    assert toml_lines.line_of('a = "\u2028"\r\n\r\nb = 1\r\n', ["b"]) == 3
    assert toml_lines.line_of("", ["a"]) is None and toml_lines.place("a = 1", ["b"]) == ""


def test_new_weights_leave_everything_else_in_a_file_as_it_was(path):
    text = '# ours\nthreshold = 0.3  # low\n\n[keep]\nD = "right"\n\n[node]\nport = 4000 # fixed\n' + NODE
    for before in (text, 'weights = "old.onnx" # first\n' + text):
        path.write_text(before)
        site_profile.put_weights(path, path.parent / "new" / "w.onnx")
        after = path.read_text()
        assert tomllib.loads(after) == {**tomllib.loads(before), "weights": "new/w.onnx"} and reading.read(path).node.port == 4000
        assert [line for line in after.splitlines() if line and "weights" not in line] == [line for line in before.splitlines() if line and "weights" not in line]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# What each key of a table does to the options of `remove`, and an option of the command line that wins over it: (key, TOML, field, value, option, value).
EFFECTS = [
    ("removal.margin", "0.4", "policy.margin", 0.4, ["--margin", "0.2"], 0.2), ("removal.style", '"mask"', "policy.style", "mask", ["--style", "box"], "box"),
    ("removal.effort", '"fast"', "effort", "fast", ["--effort", "default"], "default"), ("removal.second_look", "true", "second_look", True, ["--no-second-look"], False),
    ("removal.read_laterality", "true", "read_laterality", True, ["--no-read-laterality"], False),
    ("output.ignore", '["*.txt"]', "ignore", (*DEFAULT_IGNORE, "*.txt"), ["--ignore", "x"], (*DEFAULT_IGNORE, "*.txt", "x")),
    ("output.hold_unusable", "true", "hold_unusable", True, ["--no-hold-unusable"], False),
    ("output.release_held", "true", "release_held", True, ["--no-release-held"], False),
    ("output.transfer_syntax", '"rle"', "transfer_syntax", "rle", ["--transfer-syntax", "source"], "source"),
    ("headers.mode", '"keep"', "headers", "keep", ["--headers", "basic"], "basic"), ("headers.key", '"k"', "key", "k", ["--key", "other"], "other"),
    ("headers.retain", '["age"]', "retain", ("age",), ["--retain", "sex"], ("sex",)), ("headers.shift_dates", "true", "shift_dates", True, ["--no-shift-dates"], False),
    ("headers.paths", '"pseudonym"', "paths", "pseudonym", ["--paths", "auto"], "auto"), ("run.workers", "3", "workers", 3, ["--workers", "1"], 1),
    ("run.device", '"cpu"', "device", "cpu", ["--device", "auto"], "auto"), ("run.batch", "4", "batch", 4, ["--batch", "1"], 1),
    ("run.time_limit", "7", "time_limit", 7, ["--time-limit", "9"], 9), ("run.engine", '"ray"', "engine", "ray", ["--engine", "local"], "local"),
    ("run.ray_address", '"auto"\nengine = "ray"', "ray_address", "auto", ["--ray-address", "h:1"], "h:1"), ("run.audit", '"au"', "audit", "au", ["--audit", "other"], "other"),
    ("run.full_pictures_gb", "0", "full_pictures_gb", 0, ["--full-pictures", "2"], 2),
    ("threshold", "0.5", "policy.threshold", 0.5, ["--threshold", "0.25"], 0.25), ("weights", '"w.onnx"', "weights", "w.onnx", ["--weights", "v.onnx"], "v.onnx"),
    ("allow_modality", '["US"]', "allow_modality", ("US",), ["--allow-modality", "none"], ()), ("phrases", '["AP"]', "policy.keep", ("L", "R", "LT", "RT", "LEFT", "RIGHT", "AP"), ["--keep", "none"], ()),
    ("keep.X", '"left"', "policy.keep", ("X",), ["--keep", "L"], ("L",)), ("groups.bed", '["AT BED"]', "site.groups", {"bed": ("AT BED",)}, [], {"bed": ("AT BED",)}),
]


@pytest.fixture
def options_of(path, tmp_path, monkeypatch):
    """The options that `remove --config` hands to the run, for a file and further arguments."""
    seen = []

    def takes_note(inputs, out, *, options, progress):
        seen.append(options)
        raise UsageError("far enough")

    monkeypatch.setattr(batch, "remove", takes_note)

    def options(text, *args):
        path.write_text(text)
        main.main(["remove", str(tmp_path), "-o", str(tmp_path / "out"), "--config", str(path), *args])
        return seen.pop()

    return options


@pytest.mark.parametrize("key, toml, name, value, args, other", EFFECTS, ids=[effect[0] for effect in EFFECTS])
def test_each_key_has_its_effect_and_the_command_line_wins(options_of, key, toml, name, value, args, other):
    def look(options):
        for part in name.split("."):
            options = getattr(options, part)
        return options.name if hasattr(options, "suffix") else options

    table, _, own = key.rpartition(".")
    text = (f"[{table}]\n" if table else "") + f"{own} = {toml}\n"
    assert look(options_of(text)) == value and look(options_of(text, *args)) == other
    assert look(options_of("")) != value or key == "groups.bed"


def test_every_key_about_a_run_is_among_those_whose_effect_is_tested():
    about_runs = {f"{name}.{one.name}" for name, one in EVERY if name in ("removal", "output", "headers", "run")}
    assert about_runs | {"threshold", "weights", "allow_modality", "phrases", "keep.X", "groups.bed"} == {effect[0] for effect in EFFECTS}
    assert about_runs == set(configured.OPTIONS["remove"].values())


def test_the_file_and_the_command_line_make_the_same_options(options_of, path):
    text = "\n".join(f"[{name}]\nstyle = 'mask'" if name == "removal" else f"[{name}]" for name in ("removal", "output", "headers", "run"))
    assert options_of(text) == reading.read(path).run_options()


@pytest.mark.parametrize("command", sorted({*configured.OPTIONS} - {"serve", "watch"}))
def test_every_command_that_takes_settings_reads_the_file_before_anything_else(path, tmp_path, capsys, command):
    path.write_text("[run]\nworkers = 0\n")
    needed = {"info": [], "benchmark": [], "review": [tmp_path], "improve": [tmp_path], "queue": [tmp_path], "export": ["-o", tmp_path, "--format", "onnx"], "synthesize": [tmp_path / "s", "--seed", "1"],
              "evaluate": [tmp_path, "--truth", tmp_path, "--inputs", tmp_path]}.get(command, [tmp_path, "-o", tmp_path / "o"])
    assert main.main([command, *map(str, needed), "--config", str(path)]) == 2
    assert re.search(r"line 2: \[?run.workers is 0", capsys.readouterr().err)


def test_site_is_the_older_name_of_config_and_a_folder_stands_for_the_profile_in_it(options_of, path, tmp_path):
    (tmp_path / "site.toml").write_text("threshold = 0.5\n[run]\nworkers = 3\n")
    options = options_of("", "--site", str(tmp_path))
    assert (options.policy.threshold, options.workers) == (0.5, 3)


def test_other_commands_take_what_concerns_them(path, tmp_path, monkeypatch):
    path.write_text('weights = "w.onnx"\n[keep]\nX = "left"\n[run]\ndevice = "cpu"\nworkers = 3\n[review]\nport = 4321\nname = "Me"\n')
    parser = main.build_parser()
    commands = main.commands_of(parser)

    def parsed(*args):
        argv = [*map(str, args), "--config", str(path)]
        return configured.with_config(parser, commands, parser.parse_args(argv), argv)

    assert (parsed("info").weights, parsed("info").device) == (tmp_path / "w.onnx", "cpu")
    assert parsed("annotate", tmp_path, "-o", tmp_path / "o").keep == ("X",) and parsed("synthesize", tmp_path, "--seed", 1).workers == 3
    assert parsed("finetune", tmp_path, "-o", "x.pt").keep == "X=left" and parsed("finetune", tmp_path, "-o", "x.pt", "--keep", "L").keep == "L"
    assert (parsed("review", tmp_path).port, parsed("review", tmp_path, "--port", 5).port, parsed("review", tmp_path).name) == (4321, 5, "Me")


def test_the_configuration_is_printed_and_nothing_else_is_done(capsys):
    assert main.main(["--print-config"]) == 0 and capsys.readouterr().out == printing.text()
