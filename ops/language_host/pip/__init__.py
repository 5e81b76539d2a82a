"""Before pip on the engine's PYTHONPATH; see `__main__`. Who imports pip gets the real one's modules and names."""

from pathlib import Path
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
for folder in __path__[1:2]:
    exec((Path(folder) / "__init__.py").read_text())
