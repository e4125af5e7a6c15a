"""What `make lab` starts: JupyterLab on the chapters, each listed once, with this folder's settings."""

import os
from pathlib import Path

from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupytext.async_contentsmanager import build_async_jupytext_contents_manager_class

ROOT = Path(__file__).resolve().parents[2]
c = get_config()  # noqa: F821


class Chapters(build_async_jupytext_contents_manager_class(AsyncLargeFileManager)):
    """Hands out a notebook with what its kernel will write into it, so that opening one is no change to save."""

    async def get(self, path: str, content: bool = True, **options: object) -> dict:
        """Read a file or a folder."""
        model = await super().get(path, content=content, **options)
        if content and model["type"] == "notebook":
            spec = KernelSpecManager().get_kernel_spec("python3")
            kernel = {"name": "python3", "display_name": spec.display_name, "language": spec.language}
            model["content"]["metadata"] |= {"kernelspec": kernel, "language_info": IPythonKernel.language_info}
        return model

    async def save(self, model: dict, path: str = "") -> dict:
        """Write a file, a notebook without what only its kernel knows."""
        if model.get("type") == "notebook" and model.get("content"):
            metadata = model["content"]["metadata"]
            metadata.pop("language_info", None)
            metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return await super().save(model, path)


c.ServerApp.root_dir = str(ROOT / "notebooks")
c.ServerApp.contents_manager_class = Chapters
c.ServerApp.allow_root = os.geteuid() == 0  # as in a container, where there is nobody else
c.LabApp.default_url = "/lab/tree/start/reading_order.md"
c.LabApp.app_settings_dir = str(ROOT / "config" / "lab")  # overrides.json
c.LabApp.workspaces_dir = str(ROOT / "_build" / "lab")  # which tabs were open, of this folder alone
c.LabApp.news_url = None
# the .md twins, which jupytext writes when a chapter is saved
c.ContentsManager.hide_globs = ["[0-9][0-9]_*.md", "*.toml", "__pycache__", "*.pyc", ".DS_Store", "*~"]
