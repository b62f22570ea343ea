"""Upload an exported folder to a model hub, with the hub's own client."""

from pathlib import Path

from tinr.records import BadInput, RunFailed


def push_folder(folder: Path, repository: str, message: str) -> str:
    """Upload a folder in one commit and return the commit's URL.

    A missing repository is created as private. HF_ENDPOINT selects another hub. Raises BadInput for
    an invalid name or missing permission, and RunFailed if the hub fails or cannot be reached.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(library_name="tinr")
    left = f"the folder {folder} is kept; push it again with: hf upload {repository} {folder}"
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except HFValidationError as error:
        raise BadInput(f"--push {repository}: {_line(error)}; write OWNER/NAME") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            advice = "log in with `hf auth login`, or set HF_TOKEN"
            raise BadInput(f"--push {repository}: not permitted ({status}); {advice}") from error
        raise RunFailed(f"--push {repository}: {_line(error)}; {left}") from error
    except (httpx.HTTPError, OSError) as error:
        raise RunFailed(f"--push {repository}: the hub cannot be reached; {left}") from error
    return str(commit.commit_url)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
