"""Programs for tests of parts: small shell scripts that stand for real ones, go and apt-get among them."""

from __future__ import annotations

from pathlib import Path

from dpf.local.parts import table
from dpf.local.parts.options import Options

GO = """#!/bin/sh
echo "$@" >> "$SHOP/go.calls"
env > "$SHOP/go.env"
case "$1" in
  list) echo '{"Version": "v9"}' ;;
  mod) test "$2" != download || echo "{\\"Dir\\": \\"$SHOP/sources\\"}" ;;
  build)
    test ! -e "$SHOP/go.blocks" || { echo building > "$SHOP/go.fifo"; sleep 300; }
    test ! -e "$SHOP/go.waits" || { printf 'runtime\\nk8s.io/api\\n' >&2; cat "$SHOP/go.fifo"; }
    test ! -e "$SHOP/go.fails" || { cat "$SHOP/go.fails" >&2; exit 1; }
    while test "$1" != -o; do shift; done
    out=$2; shift 2
    cp go.mod "$SHOP/go.mod.seen"
    test ! -d patched || cat patched/*/*.go > "$SHOP/patched.seen"
    for package; do
      name=${package##*/}; test "$name" != v3 || name=server
      echo "$package" >&2; echo "built $package" > "$out/$name"
    done ;;
esac
"""
APT_GET = """#!/bin/sh
echo "$@" >> "$SHOP/apt.calls"
case "$*" in
  *update*) touch "$SHOP/apt.updated" ;;
  *) test -e "$SHOP/apt.updated" || { echo "E: Unable to locate package" >&2; exit 100; }
     test ! -e "$SHOP/apt.fails" || { echo "E: no space left" >&2; exit 100; }
     for package; do case $package in redis-tools) name=redis-check-rdb ;; iproute2) name=ip ;; *) name=$package ;; esac
     case $name in -*) ;; *) printf '#!/bin/sh\\n' > "$SHOP/bin/$name"; chmod +x "$SHOP/bin/$name" ;; esac; done ;;
esac
"""
ARGOCD_SOURCE = 'package controller\nmetricsAddr := fmt.Sprintf("0.0.0.0:%d", metricsPort)\n'


class Shop:
    """A folder `bin` that is the whole PATH, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.cache = folder / "cache"
        self.cache.mkdir()
        sources = folder / "sources"
        for name in ("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"):
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            (sources / name).write_text(f"# {name}\n")
        (sources / "controller").mkdir()
        (sources / "controller" / "appcontroller.go").write_text(ARGOCD_SOURCE)
        (sources / "controller" / "appcontroller.go").chmod(0o444)

    def program(self, name: str, text: str = "#!/bin/sh\n", folder: Path | None = None) -> Path:
        """An executable script."""
        path = (folder or self.bin) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def telling(self, name: str, said: str, folder: Path | None = None) -> Path:
        """A program that prints `said` and leaves a trace of being run."""
        text = f"#!/bin/sh\necho ran >> {self.folder}/{name}.runs\necho '{said}'\n"
        return self.program(name, text, folder)

    def runs(self, name: str) -> int:
        """How often a `telling` program was run."""
        path = self.folder / f"{name}.runs"
        return len(path.read_text().split()) if path.exists() else 0

    def calls(self, what: str) -> list[str]:
        """The command lines that go or apt-get got."""
        path = self.folder / f"{what}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def options(self, **changes: object) -> Options:
        """Options that see nothing but this folder."""
        values: dict[str, object] = {
            "cache": self.cache, "folders": (self.bin,),
            "environ": {"PATH": f"{self.bin}:/usr/bin:/bin", "SHOP": str(self.folder)},
        }
        return Options(**{**values, **changes})  # type: ignore[arg-type]

    def settings_without(self, *names: str) -> dict[str, str]:
        """Settings for every part but these."""
        anything, folder = self.program("anything", folder=self.folder / "set"), self.folder / "set"
        return {
            part.name: str(folder if part.is_folder else anything)
            for part in table.needed_for(frozenset({table.PLATFORM}))
            if part.name not in names
        }
