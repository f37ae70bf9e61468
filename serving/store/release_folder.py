"""The release folder: verified bundles on local disk and a pointer to the one that serves.

    <folder>/versions/<version>/bundle/…, release.json, release.sig[, override.json, seen_texts.u64]
    <folder>/current            the signed pointer, exchanged by rename
    <folder>/pointers/<sequence>  every pointer there was: history, and the way back if `current` breaks
    <folder>/.lock              held while anything here is changed

Whoever writes (publishing, rolling back) goes through `ReleaseFolder` with the private key; whoever
reads needs the public one. Does not know registries, nor how a bundle is loaded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from model.bundle.plain_files import read_plain
from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, remove_folder, replacing_folder
from serving.store import signing
from serving.store.manifest import (
    BUNDLE_FILES,
    BUNDLE_FOLDER,
    BUNDLE_MANIFEST,
    ReleaseManifest,
    ReleaseRefused,
    keep_seen,
    verify_release,
    write_release,
)
from serving.store.override import Override, write_override
from serving.store.pointer import POINTER_FILE, Pointer, PointerBroken, read_pointer, write_pointer
from serving.store.signed import MAX_RECORD_BYTES

KEPT_POINTERS = 100
"""Pointers that the history keeps when it is pruned."""


class PromotionRefused(HeadgateError):
    """The pointer was not moved: a newer approval already serves, or there is nothing to go back to."""


class ReleaseFolder:
    """Versions of one registered model on local disk.

    Args:
        path: the folder; made when something is first staged.
        name: the registered model; by default the folder's own name.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.resolve().name
        self.pointer_path = path / POINTER_FILE
        self.history_path = path / "pointers"
        self.versions_path = path / "versions"

    def version_dir(self, version: int) -> Path:
        """Folder of a version, there or not."""
        return self.versions_path / str(version)

    def versions(self) -> list[int]:
        """Versions on disk, verified or not, oldest first."""
        if not self.versions_path.is_dir():
            return []
        names = (entry.name for entry in self.versions_path.iterdir())
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def pointer(self, keys: signing.KeySource) -> Pointer | None:
        """Which version serves, or None where none was ever pointed at.

        Raises:
            serving.store.pointer.PointerBroken: malformed, forged or for another model.
        """
        return read_pointer(self.pointer_path, keys, self.name)

    def pointer_text(self) -> str:
        """The pointer file as it is.

        Raises:
            serving.store.pointer.PointerBroken: it can't be read, or is no plain file.
        """
        try:
            return read_plain(self.pointer_path, MAX_RECORD_BYTES).decode()
        except (OSError, ValueError) as error:
            raise PointerBroken(f"{POINTER_FILE}: can't be read ({error})") from error

    def pointers(self, keys: signing.KeySource) -> list[Pointer]:
        """Every pointer that can still be read and verified, the last one first: the history."""
        found: dict[int, Pointer] = {}
        for path in (self.pointer_path, *self.history_path.glob("[0-9]*")):
            with contextlib.suppress(PointerBroken):
                pointer = read_pointer(path, keys, self.name)
                if pointer is not None:
                    found[pointer.sequence] = pointer
        return [found[sequence] for sequence in sorted(found, reverse=True)]

    def latest_pointer(self, keys: signing.KeySource) -> Pointer | None:
        """The last pointer that was written, also where `current` is damaged or an old one was put back; None
        where none was ever written.

        Raises:
            serving.store.pointer.PointerBroken: there are pointers, and none of them can be verified.
        """
        for pointer in self.pointers(keys):
            return pointer
        written = len(list(self.history_path.glob("[0-9]*"))) + os.path.lexists(self.pointer_path)
        if written:
            raise PointerBroken(f"of {written} pointers, none verifies with the keys that are trusted here")
        return None

    def sign_pointers_again(self, private_key: Path) -> int:
        """Sign every pointer that verifies with a trusted key again with the present one; how many."""
        keys = signing.load_public_keys(private_key.with_name(signing.PUBLIC_KEY))
        with self._locked():
            done = 0
            for path in (*self.history_path.glob("[0-9]*"), self.pointer_path):
                with contextlib.suppress(PointerBroken):
                    pointer = read_pointer(path, keys, self.name)
                    if pointer is not None:
                        write_pointer(path, pointer, private_key)
                        done += 1
            return done

    def fallbacks(self, keys: signing.KeySource) -> list[int]:
        """Versions that may serve if need be, the last one that did first.

        Going back to a version forgets those promoted after it: they were left for a reason. Where there
        is no history at all, every copy on disk, the newest first.
        """
        history = self.pointers(keys)
        if not history:
            return list(reversed(self.versions()))
        stack: list[int] = []
        for pointer in reversed(history):
            # The former one, too: the pointer that named it may be damaged or pruned.
            for version in (pointer.previous, pointer.version):
                if version in stack:
                    del stack[stack.index(version) + 1 :]
                elif version is not None:
                    stack.append(version)
        return list(reversed(stack))

    def stage(
        self,
        bundle: Path,
        manifest: ReleaseManifest,
        private_key: Path,
        override: Override | None = None,
        *,
        seen: Path | None = None,
    ) -> Path:
        """Put a version beside the others, complete, verified and synced, without serving it yet.

        Copies the bundle, signs the manifest, checks the copy as the endpoint will, then renames it into
        place. Staging the same bundle under the same version again is a no-op; a damaged copy is replaced.

        Args:
            bundle: bundle folder; only the files that its manifest names are copied.
            manifest: what to sign. Its verdict must be a pass unless `override` is given.
            private_key: PEM file; its public half must lie beside it (see `signing.ensure_key_pair`).
            override: lets a version serve whose verdict is not a pass.
            seen: file with the ids of the texts that it was trained on, as the manifest's evidence names it.

        Raises:
            serving.store.manifest.ReleaseRefused: the verdict is not a pass, the bundle or `seen` is not the
                one that was judged, or another bundle already stands under this version.
            OSError: disk full or not writable; nothing is left behind.
        """
        if manifest.name != self.name:
            raise ReleaseRefused(f"version {manifest.version} is of {manifest.name!r}, not of {self.name!r}")
        target = self.version_dir(manifest.version)
        public_key = private_key.with_name(signing.PUBLIC_KEY)
        with self._locked():
            if target.exists() and self._already_staged(target, manifest, public_key, override is not None):
                if seen is not None:
                    keep_seen(target, manifest, seen)
                return target
            with replacing_folder(target) as copy:
                (copy / BUNDLE_FOLDER).mkdir()
                for file_name in sorted(BUNDLE_FILES | {BUNDLE_MANIFEST}):
                    shutil.copyfile(bundle / file_name, copy / BUNDLE_FOLDER / file_name)
                write_release(copy, manifest, private_key)
                if override is not None:
                    write_override(copy, override, private_key)
                if seen is not None:
                    keep_seen(copy, manifest, seen)
                verify_release(copy, public_key, self.name, version=manifest.version)
                fault("version_copied")
        return target

    def _already_staged(
        self, target: Path, manifest: ReleaseManifest, public_key: Path, wants_override: bool
    ) -> bool:
        try:
            present = verify_release(target, public_key, self.name)
        except ReleaseRefused:
            # Damaged, or refused for want of the override that is being given now: replaced by the caller.
            return False
        if present.bundle_sha256 != manifest.bundle_sha256:
            raise ReleaseRefused(
                f"version {manifest.version} is already released with another bundle "
                f"({present.bundle_sha256[:12]}, now {manifest.bundle_sha256[:12]}); register a new version"
            )
        return not (wants_override and present.outcome != "pass")

    def promote(self, version: int, private_key: Path, *, after: int = 0) -> Pointer:
        """Point at a newly approved version. Promoting the one that serves changes nothing.

        Args:
            version: its number.
            private_key: PEM file; its public half must lie beside it.
            after: sequence of another folder's pointer, which this one is to be newer than, too.

        Raises:
            PromotionRefused: a version that was approved later has been promoted already.
            serving.store.manifest.ReleaseRefused: the version is missing or may not serve.
        """
        with self._locked():
            public_key = private_key.with_name(signing.PUBLIC_KEY)
            manifest = verify_release(self.version_dir(version), public_key, self.name)
            now = self.latest_pointer(public_key)
            if now is not None and now.version == version:
                return self._rewritten(now, private_key)
            if now is not None and manifest.sequence <= now.approval:
                raise PromotionRefused(
                    f"version {version} of {self.name!r} (approval {manifest.sequence}) is older than "
                    f"approval {now.approval}, which was promoted already; to return to it, roll back"
                )
            return self._exchange(now, manifest, private_key, after=after)

    def roll_back(self, private_key: Path, version: int | None = None) -> Pointer:
        """Point at an earlier version again: the one that served before, or the one that is named.

        Raises:
            PromotionRefused: nothing served before, or the version named is not on disk.
            serving.store.manifest.ReleaseRefused: it may not serve.
        """
        with self._locked():
            public_key = private_key.with_name(signing.PUBLIC_KEY)
            now = self.latest_pointer(public_key)
            target = version if version is not None else (now.previous if now else None)
            if target is None or target not in self.versions():
                wanted = "an earlier version" if target is None else f"version {target}"
                raise PromotionRefused(
                    f"{self.name!r} can't go back to {wanted}: it is not in the release folder, "
                    f"which holds {self.versions() or 'none'}"
                )
            manifest = verify_release(self.version_dir(target), public_key, self.name)
            if now is not None and now.version == target:
                return self._rewritten(now, private_key)
            return self._exchange(now, manifest, private_key)

    def _exchange(
        self, now: Pointer | None, manifest: ReleaseManifest, private_key: Path, *, after: int = 0
    ) -> Pointer:
        pointer = Pointer(
            name=self.name,
            version=manifest.version,
            sequence=max(now.sequence if now else 0, after) + 1,
            approval=max(manifest.sequence, now.approval if now else manifest.sequence),
            previous=now.version if now else None,
        )
        self._write(pointer, private_key)
        return pointer

    def _rewritten(self, now: Pointer, private_key: Path) -> Pointer:
        """The last pointer, written again if `current` is not it (damaged, lost or an old one)."""
        try:
            intact = self.pointer(private_key.with_name(signing.PUBLIC_KEY)) == now
        except PointerBroken:
            intact = False
        if not intact:
            self._write(now, private_key)
        return now

    def _write(self, pointer: Pointer, private_key: Path) -> None:
        # `current` first: a pointer is history only once it was valid, so that a history newer than
        # `current` always means that `current` was put back.
        write_pointer(self.pointer_path, pointer, private_key)
        fault("pointer_written")
        self.history_path.mkdir(exist_ok=True)
        write_pointer(self.history_path / f"{pointer.sequence:08d}", pointer, private_key)
        fault("pointer_kept")

    def superfluous(self, keep: int, keys: signing.KeySource) -> list[int]:
        """Versions on disk beyond the newest `keep` and the last `keep` of the way back. The version that
        serves and the one before it are never among them.

        Raises:
            serving.store.pointer.PointerBroken: there are pointers, and none of them can be verified.
        """
        now = self.latest_pointer(keys)
        protected = {now.version, now.previous} if now else set()
        protected |= set(self.fallbacks(keys)[:keep])
        return [version for version in self.versions()[:-keep] if version not in protected]

    def prune(self, keep: int, keys: signing.KeySource) -> list[int]:
        """Remove what is superfluous, and what interrupted stagings left; gives the versions removed."""
        with self._locked():
            removed = self.superfluous(keep, keys)
            for version in removed:
                remove_folder(self.version_dir(version))
            # Under the lock nobody stages, so a process that died left these behind.
            for unfinished in self.versions_path.glob(".*"):
                shutil.rmtree(unfinished, ignore_errors=True)
            for old in sorted(self.history_path.glob("[0-9]*"))[:-KEPT_POINTERS]:
                old.unlink()
            return removed

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        self.versions_path.mkdir(parents=True, exist_ok=True)
        return locked(self.path / ".lock")
