"""What a stranger can check, with a public key, hashlib and cryptography, and none of our code.

The two verifying algorithms are those of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

import base64
import hashlib
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from oversight.audit import checkpoints, keys, services
from oversight.audit.models import AuditEvent, AuditLink
from oversight.tenancy.actors import system_actor
from tests.sessions import without_triggers

pytestmark = pytest.mark.django_db(transaction=True)


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def signed_tree(note, key):
    """Size and root of a checkpoint, if the key signed it."""
    name, key_id, encoded = key.split("+", 2)
    text, signatures = note.rsplit("\n\n", 1)
    line = next(s for s in signatures.splitlines() if s.startswith(f"— {name} "))
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == key_id
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    public.verify(signature[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")
    assert origin == name
    return int(size), base64.b64decode(root)


def proves_inclusion(leaf, index, size, hashes, root):
    fn, sn = index, size - 1
    r = hashlib.sha256(b"\x00" + leaf.encode()).digest()
    for p in hashes:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def proves_consistency(first, first_root, second, second_root, hashes):
    if first == second:
        return not hashes and first_root == second_root
    if first & (first - 1) == 0:
        hashes = [first_root, *hashes]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = hashes[0]
    for c in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def decoded(hashes):
    return [base64.b64decode(each) for each in hashes]


@pytest.fixture
def log(world):
    """A project whose log grew in runs of several sizes, and what an auditor sees of it."""
    world.auditor = world.client("auditor")
    services.sequence(world.project)
    for n_events in (1, 2, 5, 13):
        for number in range(n_events):
            services.record(
                system_actor(world.project), "thing.done", "thing", number, share=0.1, name="Ü"
            )
        services.sequence(world.project)
    page = world.auditor.get(f"/p/{world.slug}/audit/")
    world.key = page.context["state"].verifier
    assert world.key in page.content.decode()
    return world


def get(log, path, status=200):
    answer = log.auditor.get(f"/p/{log.slug}/audit/{path}")
    assert answer.status_code == status, answer.content
    return answer


def test_every_event_is_proven_to_be_in_the_log(log):
    note = get(log, "checkpoint").content.decode()
    size, root = signed_tree(note, log.key)
    assert size == AuditEvent.objects.filter(project=log.project).count()
    seen = set()
    for event in AuditEvent.objects.filter(project=log.project):
        proof = get(log, f"events/{event.pk}/proof").json()
        assert signed_tree(proof["checkpoint"], log.key) == (size, root) == (proof["size"], root)
        told = (proof["leaf"], proof["index"], proof["size"], decoded(proof["hashes"]))
        assert proves_inclusion(*told, root)
        assert json.loads(proof["leaf"])["action"] == event.action
        assert not proves_inclusion(proof["leaf"] + " ", *told[1:], root)
        seen.add(proof["index"])
    assert seen == set(range(size))


def test_every_checkpoint_is_proven_to_be_a_prefix_of_the_newest(log):
    signed = [signed_tree(note, log.key) for note in checkpoints.read(log.project)]
    assert len(signed) == 5
    size, root = signed[-1]
    for first, first_root in signed:
        proof = get(log, f"consistency?first={first}").json()
        assert (proof["first"], proof["size"]) == (first, size)
        assert signed_tree(proof["checkpoint"], log.key) == (size, root)
        hashes = decoded(proof["hashes"])
        assert proves_consistency(first, first_root, size, root, hashes)
        assert not proves_consistency(first, bytes(32), size, root, hashes)


def test_a_checkpoint_that_was_changed_is_not_signed(log):
    note = get(log, "checkpoint").content.decode()
    size, _ = signed_tree(note, log.key)
    with pytest.raises(InvalidSignature):
        signed_tree(note.replace(f"\n{size}\n", f"\n{size - 1}\n"), log.key)


def test_the_page_leads_to_the_proof_of_each_event(log):
    page = log.auditor.get(f"/p/{log.slug}/audit/").content.decode()
    event = AuditEvent.objects.filter(project=log.project).latest("pk")
    assert f'href="/p/{log.slug}/audit/events/{event.pk}/proof"' in page


def test_what_no_checkpoint_speaks_of_yet_has_no_proof(log, other_world):
    services.record(system_actor(log.project), "thing.done", "thing", "late")
    late = AuditEvent.objects.filter(project=log.project).latest("pk")
    get(log, f"events/{late.pk}/proof", 409)
    services.sequence(log.project)
    get(log, f"events/{late.pk}/proof")
    checkpoints.path_of(log.project).unlink()
    get(log, f"events/{late.pk}/proof", 404)
    get(log, "checkpoint", 404)
    services.sequence(other_world.project)
    foreign = AuditEvent.objects.filter(project=other_world.project).latest("pk")
    checkpoints.publish(log.project)
    get(log, f"events/{foreign.pk}/proof", 404)
    get(log, "events/999999999/proof", 404)
    get(log, f"events/{10**30}/proof", 404)


@pytest.mark.parametrize("first", ["", "0", "x", "-1", "1.5", "９", "9" * 30, "1000"])
def test_what_is_no_size_of_the_log_is_refused(log, first):
    get(log, f"consistency?first={first}", 400)


def test_a_damaged_tree_and_an_unreadable_key_prove_nothing_and_break_no_page(log, settings):
    with without_triggers():
        AuditLink.objects.filter(project=log.project, sequence=4)._raw_delete("default")
    first = AuditLink.objects.get(project=log.project, sequence=1)
    get(log, f"events/{first.event_id}/proof", 409)
    (settings.DATA_DIR / keys.FILE).write_text("no key")
    get(log, "checkpoint", 503)
    state = get(log, "").context["state"]
    assert (state.checkpoint, state.verifier) == (None, "")
