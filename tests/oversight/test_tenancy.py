"""People, links and keys: what may happen, as sentences."""

from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command
from django.test import Client

from oversight.audit.models import AuditEvent
from oversight.lib import clock, errors
from oversight.tenancy import services
from oversight.tenancy.access import access_key
from oversight.tenancy.actors import key_actor
from oversight.tenancy.models import ApiKey, Invitation, Membership, PasswordReset, Project, User
from tests.sessions import all_at_once
from tests.worlds import Api, World

PASSWORD = "correct horse battery"


def membership_of(world, role):
    return Membership.objects.get(project=world.project, user=world.user(role))


class TestMembers:
    def test_the_last_owner_stays(self, world):
        owner = membership_of(world, "owner")
        actor = world.actor("owner")
        with pytest.raises(errors.Conflict) as caught:
            services.remove_member(actor, membership_id=owner.pk)
        assert caught.value.code == "last_owner"
        with pytest.raises(errors.Conflict):
            services.change_role(actor, membership_id=owner.pk, role="reviewer", seen_role="owner")
        assert membership_of(world, "owner").role == "owner"

    def test_an_owner_who_cannot_log_in_does_not_count_as_one(self, world):
        owner = membership_of(world, "owner")
        second = world.user("owner", "second@acme.example")
        User.objects.filter(pk=second.pk).update(is_active=False)
        with pytest.raises(errors.Conflict):
            services.remove_member(world.actor("owner"), membership_id=owner.pk)

    def test_a_stale_page_changes_no_role(self, world):
        member, actor = membership_of(world, "reviewer"), world.actor("owner")
        services.change_role(actor, membership_id=member.pk, role="lead", seen_role="reviewer")
        with pytest.raises(errors.Conflict) as caught:
            services.change_role(
                actor, membership_id=member.pk, role="auditor", seen_role="reviewer"
            )
        assert caught.value.extra == {"state": "lead"}

    def test_a_removed_member_is_out_at_once_in_browser_and_api(self, world):
        browser, api = world.client("reviewer"), world.api("review")
        assert browser.get(f"/p/{world.slug}/policies/").status_code == 200
        assert api("GET", "policies").status_code == 200
        member = membership_of(world, "reviewer")
        services.remove_member(world.actor("owner"), membership_id=member.pk)
        assert api("GET", "policies").status_code == 401
        answer = browser.get(f"/p/{world.slug}/policies/")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")

    def test_removing_one_member_leaves_the_sessions_of_others(self, world):
        lead = world.client("lead")
        member = membership_of(world, "reviewer")
        services.remove_member(world.actor("owner"), membership_id=member.pk)
        assert lead.get(f"/p/{world.slug}/policies/").status_code == 200

    def test_who_may_not_review_any_more_has_no_key_that_does(self, world):
        api = world.api("review")
        member = membership_of(world, "reviewer")
        services.change_role(
            world.actor("owner"), membership_id=member.pk, role="auditor", seen_role="reviewer"
        )
        assert api("GET", "policies").status_code == 401

    def test_members_of_another_project_cannot_be_touched(self, world, other_world):
        foreign = membership_of(other_world, "reviewer")
        browser = world.client("owner")
        base = f"/p/{world.slug}/settings/members/{foreign.pk}"
        body = {"role": "lead", "seen_role": "reviewer"}
        assert browser.post(f"{base}/role", body).status_code == 404
        assert browser.post(f"{base}/remove").status_code == 404
        assert browser.post(f"{base}/password-link").status_code == 404
        assert membership_of(other_world, "reviewer").role == "reviewer"


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_remove_each_other_at_once_one_remains(make_world):
    world = make_world("race")
    users = [world.user("owner"), world.user("owner", "second@race.example")]
    members = [Membership.objects.get(user=user) for user in users]
    actors = [world.actor("owner")] * 2

    def remove(actor, member):
        try:
            services.remove_member(actor, membership_id=member.pk)
        except errors.Conflict:
            return "refused"
        return "removed"

    pairs = zip(actors, members, strict=True)
    outcomes = all_at_once(*[partial(remove, *pair) for pair in pairs])
    assert sorted(outcomes) == ["refused", "removed"]
    assert Membership.objects.filter(project=world.project, role="owner").count() == 1


class TestInvitations:
    def invite(self, world, role="reviewer"):
        page = world.client("owner").post(f"/p/{world.slug}/settings/invitations", {"role": role})
        link = page.context["link"]
        assert link in page.content.decode()
        return link.removeprefix("http://testserver")

    def join(self, link, email="new@person.example", **fields):
        return Client().post(link, {"email": email, "name": "", "password": PASSWORD, **fields})

    def test_a_link_makes_one_member_once(self, world):
        link = self.invite(world, "lead")
        assert Client().get(link).status_code == 200
        assert self.join(link).status_code == 302
        assert Membership.objects.get(user__email="new@person.example").role == "lead"
        assert self.join(link, "second@person.example").status_code == 410
        assert Client().get(link).status_code == 410
        assert not User.objects.filter(email="second@person.example").exists()

    def test_the_token_is_stored_as_a_hash(self, world):
        token = self.invite(world).rsplit("/", 1)[1]
        stored = bytes(Invitation.objects.get().token_hash)
        assert len(stored) == 32
        assert token.encode() not in stored

    def test_an_expired_or_withdrawn_link_is_dead(self, world):
        link = self.invite(world)
        Invitation.objects.update(expires_at=clock.now() - timedelta(seconds=1))
        assert self.join(link).status_code == 410
        second = self.invite(world)
        newest = Invitation.objects.latest("pk")
        services.withdraw_invitation(world.actor("owner"), invitation_id=newest.pk)
        assert self.join(second).status_code == 410
        assert not User.objects.filter(email="new@person.example").exists()

    def test_an_address_with_an_account_keeps_its_password_and_the_link(self, world, other_world):
        victim = other_world.user("owner")
        before = victim.password
        link = self.invite(world)
        answer = self.join(link, victim.email)
        assert answer.status_code == 422
        assert "email" in answer.context["form"].errors
        victim.refresh_from_db()
        assert victim.password == before
        assert not Membership.objects.filter(project=world.project, user=victim).exists()
        browser = other_world.client("owner")
        assert browser.post(link).status_code == 302
        assert Membership.objects.get(project=world.project, user=victim).role == "reviewer"

    def test_a_member_who_follows_a_link_does_not_use_it_up(self, world):
        link = self.invite(world)
        assert world.client("reviewer").post(link).status_code == 409
        assert self.join(link).status_code == 302

    def test_a_weak_password_keeps_the_link_open(self, world):
        link = self.invite(world)
        assert self.join(link, password="password").status_code == 422
        assert self.join(link).status_code == 302

    def test_fields_that_the_form_does_not_have_change_nothing(self, world):
        link = self.invite(world)
        self.join(link, is_staff="1", is_superuser="1", role="owner", project="globex")
        joined = User.objects.get(email="new@person.example")
        assert not joined.is_staff
        assert not joined.is_superuser
        assert joined.memberships.get().role == "reviewer"


class TestPasswordLinks:
    def link(self, world, user):
        _, token = services.reset_password_link(world.actor("owner"), user=user)
        return f"/password-links/{token}"

    def test_a_link_sets_a_password_once_and_ends_sessions(self, world):
        browser, user = world.client("reviewer"), world.user("reviewer")
        link, second = self.link(world, user), self.link(world, user)
        assert Client().post(link, {"password": PASSWORD}).status_code == 302
        user.refresh_from_db()
        assert check_password(PASSWORD, user.password)
        assert browser.get(f"/p/{world.slug}/policies/").status_code == 302
        assert Client().post(link, {"password": "another long one"}).status_code == 410
        assert Client().post(second, {"password": "another long one"}).status_code == 410
        actions = list(
            AuditEvent.objects.filter(project=world.project, object_type="user")
            .order_by("pk")
            .values_list("action", flat=True)
        )
        assert actions[-1] == "password.reset"

    def test_a_weak_password_keeps_the_link_open(self, world):
        link = self.link(world, world.user("reviewer"))
        assert Client().post(link, {"password": "1234567890"}).status_code == 422
        assert PasswordReset.objects.get().used_at is None

    def test_an_owner_cannot_open_an_account_that_opens_another_project(self, world, other_world):
        shared = world.user("reviewer")
        services.add_member(other_world.operator, user=shared, role="owner")
        with pytest.raises(errors.NotAllowed):
            self.link(world, shared)

    def test_an_owner_of_both_projects_can(self, world, other_world):
        shared = world.user("reviewer")
        services.add_member(other_world.operator, user=shared, role="lead")
        services.add_member(other_world.operator, user=world.user("owner"), role="owner")
        assert self.link(world, shared)


class TestKeys:
    def test_a_key_is_shown_once_and_stored_as_a_hash(self, world):
        text = world.key("records:read")
        key = ApiKey.objects.get()
        assert text.startswith(f"ov_{key.prefix}_")
        assert "_" not in key.prefix
        secret = text.split("_", 2)[2]
        assert len(bytes.fromhex(secret)) == 32
        assert secret not in repr(ApiKey.objects.values())
        assert access_key(text).project == world.project
        page = world.client("owner").get(f"/p/{world.slug}/settings/keys").content.decode()
        assert secret not in page
        assert key.prefix in page

    @pytest.mark.parametrize(
        "change",
        [
            {"revoked_at": clock.now()},
            {"expires_at": clock.now() - timedelta(seconds=1)},
            {"secret_hash": b"\x00" * 32},
        ],
    )
    def test_a_key_that_ended_is_refused(self, world, change):
        api = world.api("records:read")
        assert api("GET", "policies").status_code == 200
        ApiKey.objects.update(**change)
        answer = api("GET", "policies")
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "text", ["", "ov_", "ov_abc", "ov__x", "ov_nope_" + "0" * 64, "sk_a_b", "ov_a_b\x00"]
    )
    def test_what_is_no_key_is_refused(self, world, text):
        assert Api(text or "x")("GET", "policies").status_code == 401

    def test_revoking_asks_for_the_prefix_and_works_once(self, world):
        api, browser = world.api("records:read"), world.client("owner")
        key = ApiKey.objects.get()
        page = f"/p/{world.slug}/settings/keys/{key.pk}/revoke"
        assert browser.post(page, {"key_prefix": "wrong"}).status_code == 422
        assert api("GET", "policies").status_code == 200
        assert browser.post(page, {"key_prefix": key.prefix}).status_code == 302
        assert api("GET", "policies").status_code == 401
        assert browser.post(page, {"key_prefix": key.prefix}).status_code == 409

    def test_a_key_of_another_project_cannot_be_revoked(self, world, other_world):
        other_world.key("records:read")
        key = ApiKey.objects.get()
        page = f"/p/{world.slug}/settings/keys/{key.pk}/revoke"
        assert world.client("owner").post(page, {"key_prefix": key.prefix}).status_code == 404

    @pytest.mark.parametrize(
        ("scopes", "options"),
        [
            (["review"], {}),
            (["review"], {"acts_as": "reviewer", "ai_rater": "gpt"}),
            (["records:read"], {"acts_as": "reviewer"}),
            (["records:read"], {"ai_rater": "gpt"}),
            (["review"], {"acts_as": "auditor"}),
            (["review"], {"acts_as": "stranger"}),
            ([], {}),
            (["everything"], {}),
            (["records:read"], {"name": " "}),
            (["records:read"], {"expires_at": clock.now()}),
        ],
    )
    def test_a_key_that_makes_no_sense_is_refused(self, world, other_world, scopes, options):
        options = {"name": "test", **options}
        if role := options.get("acts_as"):
            stranger = role == "stranger"
            options["acts_as"] = other_world.user("owner") if stranger else world.user(role)
        with pytest.raises(errors.InvalidInput):
            services.create_key(world.operator, scopes=scopes, **options)

    def test_a_person_makes_keys_that_act_as_themselves_only(self, world):
        actor = world.actor("owner")
        services.create_key(actor, name="mine", scopes=["review"], acts_as=actor.user)
        with pytest.raises(errors.NotAllowed):
            services.create_key(
                actor, name="theirs", scopes=["review"], acts_as=world.user("reviewer")
            )

    def test_a_key_makes_no_keys_and_invites_nobody(self, world):
        world.key("admin")
        actor = key_actor(ApiKey.objects.select_related("project", "acts_as").get())
        with pytest.raises(errors.NotAllowed):
            services.create_key(actor, name="more", scopes=["records:read"])
        with pytest.raises(errors.NotAllowed):
            services.invite(actor, role="owner")

    def test_the_page_makes_a_key_for_oneself_and_ignores_other_fields(self, world):
        browser = world.client("owner")
        fields = {"name": "laptop", "scopes": ["review"], "rater": "me", "expires_on": ""}
        foreign = {"acts_as": world.user("reviewer").pk, "prefix": "mine", "project": "globex"}
        page = browser.post(f"/p/{world.slug}/settings/keys", {**fields, **foreign})
        key = ApiKey.objects.get()
        assert page.context["text"] in page.content.decode()
        assert key.acts_as == world.user("owner")
        assert key.project == world.project
        assert key.prefix != "mine"
        assert "no-store" in page["Cache-Control"]


class TestCommands:
    def run(self, *args):
        out, err = StringIO(), StringIO()
        call_command(*args, stdout=out, stderr=err)
        return out.getvalue()

    def test_a_project_comes_with_all_that_reviews_need(self, db):
        told = self.run("createproject", "fresh", "--owner", "Boss@Example.org")
        project = Project.objects.get(slug="fresh")
        assert "password (shown once)" in told
        assert project.memberships.get().user.email == "boss@example.org"
        assert [queue.slug for queue in project.queues.all()] == ["default"]
        version = project.rubrics.get().versions.get(status="published")
        assert version.policy_version.status == "published"
        assert version.questions.filter(violation__isnull=False).count() == 1

    def test_a_second_project_of_the_first_owner_makes_no_account(self, db):
        self.run("createproject", "one")
        assert "password" not in self.run("createproject", "two")
        assert User.objects.count() == 1

    def test_a_project_that_cannot_be_made_leaves_nothing(self, world):
        with pytest.raises(CommandError):
            self.run("createproject", world.slug, "--owner", "new@person.example")
        assert not User.objects.filter(email="new@person.example").exists()

    def test_the_printed_key_works_and_acts_as_the_first_owner(self, world):
        owner = world.user("owner")
        text = self.run("createkey", world.slug, "--scope", "review,records:write").strip()
        actor = access_key(text)
        assert actor.user == owner
        assert {"review", "records:write"} <= actor.permissions

    def test_an_ai_rater_is_nobody_else(self, world):
        text = self.run("createkey", world.slug, "--scope", "review", "--ai-rater", "judge-1")
        actor = access_key(text.strip())
        assert (actor.user, actor.ai_rater) == (None, "judge-1")

    @pytest.mark.parametrize(
        "args",
        [
            ["nowhere", "--scope", "review"],
            ["acme", "--scope", "everything"],
            ["acme", "--scope", "review"],  # nobody owns it
            ["acme", "--scope", "review", "--acts-as", "nobody@x.example"],
            ["acme", "--scope", "admin", "--expires-days", "0"],
        ],
    )
    def test_a_key_that_cannot_be_made_is_a_failure(self, world: World, args):
        with pytest.raises(CommandError):
            self.run("createkey", *args)
        assert not ApiKey.objects.exists()


def test_an_installation_has_one_first_owner(db):
    user, password = services.create_first_owner(email="Me@Localhost")
    assert user.check_password(password)
    assert services.create_first_owner(email="other@localhost") is None
    assert User.objects.count() == 1
