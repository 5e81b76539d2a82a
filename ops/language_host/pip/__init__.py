"""Before pip on the engine's PYTHONPATH; see `__main__`. Who imports pip gets the real one's modules and names."""

from pathlib import Path
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
# Another checkout's may be on the path as well.
for real in [folder for folder in map(Path, __path__) if (folder / "_internal").is_dir()][:1]:
    exec((real / "__init__.py").read_text())
