"""The images of Fedora Atomic hosts: the repository that builds the own ones, and the digest that each host gets."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.registry.followed import FollowedImage, FollowedImageArgs
from inventory.files import REPOSITORY
from inventory.load import Inventory, load
from inventory.models import AtomicHost, ImageBuild
from stacks.errors import SettingsError
from stacks.references import published_images
from stacks.sdk import export
from stacks.settings import Settings, plain
from stacks.sops import secret

if TYPE_CHECKING:
    from components.github.api import Api
    from components.github.image_repository import ImageRepository

_FORGET_FILES = (
    "This stack was deployed when each file of the image repository was a resource; deleting those would empty the repository. "
    "Fix: have the state forget them first (docs/image.md, Upgrading)"
)


class Images:
    """Images of one stack. Makes the image repository where the stack's inventory has `[image]`.

    An image that the registry does not give is asked for again by the next update: `export` counts those attempts. LAST is what
    the stack exported then.
    """

    def __init__(self, settings: Settings, inventory: Inventory, last: Mapping[str, Any]) -> None:
        self.settings = settings
        if last.get("imageRepository") and "imageCommit" not in last:
            raise SettingsError(_FORGET_FILES)
        self.attempt = int(last.get("imagesAttempt") or 0) + (1 if last.get("imagesUnreadable") else 0)
        self.repository = image_repository(settings, inventory, inventory.image, self.attempt) if inventory.image else None
        self.published = self.repository.images if self.repository else published_images(settings)
        self.followed: dict[str, FollowedImage] = {}

    def digest(self, host: str, facts: AtomicHost) -> str | pulumi.Output[str] | None:
        """The digest that HOST gets, empty where no registry gives it; None, with a warning, where nobody publishes it."""
        if facts.digest is not None:
            return facts.digest
        if facts.tag is not None:
            return self._followed(f"{facts.image}:{facts.tag}").digest
        if self.published is None:
            pulumi.log.warn(
                f"{host} stays as it is: no digest or tag in the inventory, and no aether:cloudStack that publishes {facts.image}"
            )
            return None
        return self.published.apply(lambda images: _own(images, facts.image, host))

    def export(self) -> None:
        """Export what was published, and what the next update has to know."""
        unreadable = [self.repository.unreadable] if self.repository else []
        unreadable += [image.unreadable for image in self.followed.values()]
        if self.repository:
            export("images", self.repository.images)
            export("imageRepository", self.repository.clone_url)
            export("imageCommit", self.repository.commit)
        if unreadable:
            merged = pulumi.Output.all(*unreadable).apply(
                lambda found: {name: why for each in found for name, why in each.items()}
            )
            export("imagesUnreadable", merged)
            export("imagesAttempt", self.attempt)

    def _followed(self, reference: str) -> FollowedImage:
        if reference not in self.followed:
            registry, _, path = reference.partition("/")
            self.followed[reference] = FollowedImage(
                path.rsplit("/", 1)[-1].replace(":", "-"),
                FollowedImageArgs(
                    reference=f"{self.settings.image_registry if registry == 'ghcr.io' else registry}/{path}",
                    attempt=self.attempt,
                    again=self.settings.image_build,
                ),
            )
        return self.followed[reference]


def _own(images: Mapping[str, str], image: str, host: str) -> str:
    reference = images.get(image.rsplit("/", 1)[1])
    if reference is None:
        pulumi.log.warn(
            f"{host} stays as it is: the stack that builds {image} knows no digest of it ({', '.join(images) or 'none'} is "
            "known). Fix: what that stack's own warning says (docs/image.md), or pin digest in the inventory"
        )
        return ""
    return reference.rsplit("@", 1)[1]


def image_repository(settings: Settings, inventory: Inventory, build: ImageBuild, attempt: int) -> "ImageRepository":
    """The repository of BUILD, with the health checks of the Atomic hosts that run its images.

    Raises:
        SettingsError: no token, no public key, or a file that GitHub cannot take.
    """
    # Their SDKs take a while to import, and most stacks need them not.
    from components.github.api import Api, Failed
    from components.github.content import ContentError, repository_files
    from components.github.image_repository import ImageRepository, ImageRepositoryArgs
    from components.github.workflow import required_checks, used_actions
    from stacks.github import github_provider

    public_key = REPOSITORY / settings.image_public_key
    if not public_key.is_file():
        raise SettingsError(f"{settings.image_public_key} does not exist. Fix: make the signing key as docs/image.md says")
    registry = f"ghcr.io/{build.owner}"
    own = {f"{registry}/{image}" for image in build.images}
    beside = Path(settings.inventory).parent / build.hosts
    atomic = (inventory if beside == Path(settings.inventory) else load(beside)).of(AtomicHost)
    try:
        files = repository_files(
            REPOSITORY / "image",
            registry,
            public_key.read_text(),
            {name: facts for name, facts in atomic.items() if facts.image in own},
        )
    except ContentError as error:
        raise SettingsError(str(error)) from None
    provider = github_provider(settings, build.owner)
    assert settings.github_token is not None, "the provider's is the same"
    ruleset = policy = None
    if settings.adopt_image_repository:
        api = Api(settings.github_base_url, str(plain("githubToken")), f"{build.owner}/{build.repository}")
        try:
            ruleset, policy = _named(api.get("rulesets")), _named(_policies(api))
        except Failed as error:
            raise SettingsError(str(error)) from None
    return ImageRepository(
        build.repository,
        ImageRepositoryArgs(
            build=build,
            registry=settings.image_registry,
            files=files,
            actions=used_actions(files),
            required_checks=required_checks(files),
            signing_key=secret(settings, "image.yaml", "cosign_private_key"),
            signing_password=secret(settings, "image.yaml", "cosign_password"),
            public_key_file=settings.image_public_key,
            api=settings.github_base_url,
            token=settings.github_token,
            timeout=settings.image_timeout,
            attempt=attempt,
            again=settings.image_build,
            adopt=settings.adopt_image_repository,
            adopt_ruleset=ruleset,
            adopt_policy=policy,
            protect=settings.protect,
            provider=provider,
        ),
    )


def _named(items: list[dict[str, Any]]) -> str | None:
    """Id of the one of ITEMS that is named as the branch, as what the component makes is."""
    return next((str(item["id"]) for item in items if item["name"] == "main"), None)


def _policies(api: "Api") -> list[dict[str, Any]]:
    from components.github.api import Failed, status_of

    try:
        return list(api.get("environments/release/deployment-branch-policies")["branch_policies"])
    except Failed as error:
        # It has no such environment.
        if status_of(error) == 404:
            return []
        raise
