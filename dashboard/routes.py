"""The pages at a glance: one table of addresses."""

from __future__ import annotations

import re

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from dashboard.account.page import AccountPage, CodesAgain, CodesConfirm, CodesOff, CodesStart, PasswordChange
from dashboard.alerts.acts import AcknowledgeAct, EndAct, SilenceAct
from dashboard.alerts.alert import AlertPage
from dashboard.alerts.list import AlertsPage
from dashboard.changes.maintenance import MaintenancePage, WindowEnd, WindowExtend, WindowPlan
from dashboard.changes.page import ChangesPage
from dashboard.config.acts import ExtendAct, RollbackAct, StagedForm
from dashboard.config.edit import ChangeAct, EditPage, PreviewPart
from dashboard.config.page import ConfigPage
from dashboard.find import FindPage, FindPart
from dashboard.incidents.acts import MergeAct, RoomAct
from dashboard.incidents.knew import KnewPage
from dashboard.incidents.list import DeclareAct, IncidentsPage
from dashboard.incidents.room_page import RoomPage
from dashboard.now.page import NowPage
from dashboard.objectives.backtest import BacktestPage
from dashboard.objectives.exclusions import ExclusionMake, ExclusionPreview, ExclusionRevoke, ObjectivePage
from dashboard.objectives.list import ObjectivesPage
from dashboard.request import RequestPage
from dashboard.review import ReportPage, ReviewPage
from dashboard.service.page import ServicePage
from dashboard.service.ship import OverrideAct, RevokeAct
from dashboard.setup.acts import KeyCreate, KeyRevoke, PersonChange, PersonCreate, SessionRevoke
from dashboard.setup.alertmanager import AlertmanagerPage, AlertmanagerPut, AlertmanagerRemove, AlertmanagerTest
from dashboard.setup.connect import ConnectPage
from dashboard.setup.deploy_targets import (
    DeployTargetPut,
    DeployTargetRemove,
    DeployTargetsPage,
    DeployTargetTest,
)
from dashboard.setup.flags import FlagSourceAdd, FlagSourceRemove, FlagsPage
from dashboard.setup.hooks import HookMake, HookRemove, HooksPage
from dashboard.setup.page import CheckPage, SetupPage
from dashboard.setup.target_acts import TargetAdd, TargetInboundSecret, TargetRemove, TargetTest
from dashboard.shared.live_handler import LiveHandler
from dashboard.shared.page import PageNotFound
from dashboard.shared.stream import Hub
from dashboard.sign_in import SignIn, SignInCode, SignOut, Welcome
from server.parts import Parts

PAGES: tuple[tuple[str, type[RequestHandler]], ...] = (
    (r"/", NowPage),
    (r"/services/(?P<service>[^/]+)", ServicePage),
    (r"/objectives", ObjectivesPage),
    (r"/objectives/backtest", BacktestPage),
    (r"/objectives/(?P<name>[^/]+)", ObjectivePage),
    (r"/objectives/(?P<name>[^/]+)/exclusions", ExclusionMake),
    (r"/objectives/(?P<name>[^/]+)/exclusions/preview", ExclusionPreview),
    (r"/objectives/(?P<name>[^/]+)/exclusions/revoke", ExclusionRevoke),
    (r"/alerts", AlertsPage),
    (r"/alerts/acknowledge", AcknowledgeAct),
    (r"/alerts/silence", SilenceAct),
    (r"/alerts/silence/end", EndAct),
    (r"/alerts/(?P<id>\d+)", AlertPage),
    (r"/incidents", IncidentsPage),
    (r"/incidents/declare", DeclareAct),
    (r"/incidents/(?P<id>\d+)", RoomPage),
    (r"/incidents/(?P<id>\d+)/act", RoomAct),
    (r"/incidents/(?P<id>\d+)/knew", KnewPage),
    (r"/incidents/(?P<id>\d+)/merge", MergeAct),
    (r"/changes", ChangesPage),
    (r"/changes/maintenance", MaintenancePage),
    (r"/changes/maintenance/plan", WindowPlan),
    (r"/changes/maintenance/end", WindowEnd),
    (r"/changes/maintenance/extend", WindowExtend),
    (r"/config", ConfigPage),
    (r"/config/edit", EditPage),
    (r"/config/preview", PreviewPart),
    (r"/config/change", ChangeAct),
    (r"/config/rollback", RollbackAct),
    (r"/config/staged", StagedForm),
    (r"/config/extend", ExtendAct),
    (r"/gate/override", OverrideAct),
    (r"/gate/revoke", RevokeAct),
    (r"/find", FindPage),
    (r"/find/places", FindPart),
    (r"/requests", RequestPage),
    (r"/review", ReviewPage),
    (r"/review/(?P<service>[^/]+)/(?P<month>[^/]+)", ReportPage),
    (r"/setup", SetupPage),
    (r"/setup/connect", ConnectPage),
    (r"/setup/checks/(?P<name>[^/]+)", CheckPage),
    (r"/setup/keys", KeyCreate),
    (r"/setup/keys/revoke", KeyRevoke),
    (r"/setup/people", PersonCreate),
    (r"/setup/people/change", PersonChange),
    (r"/setup/sessions/revoke", SessionRevoke),
    (r"/setup/targets", TargetAdd),
    (r"/setup/targets/remove", TargetRemove),
    (r"/setup/targets/test", TargetTest),
    (r"/setup/targets/inbound-secret", TargetInboundSecret),
    (r"/setup/deploy-targets", DeployTargetsPage),
    (r"/setup/deploy-targets/put", DeployTargetPut),
    (r"/setup/deploy-targets/test", DeployTargetTest),
    (r"/setup/deploy-targets/remove", DeployTargetRemove),
    (r"/setup/flags", FlagsPage),
    (r"/setup/flags/add", FlagSourceAdd),
    (r"/setup/flags/remove", FlagSourceRemove),
    (r"/setup/hooks", HooksPage),
    (r"/setup/hooks/make", HookMake),
    (r"/setup/hooks/remove", HookRemove),
    (r"/setup/alertmanager", AlertmanagerPage),
    (r"/setup/alertmanager/put", AlertmanagerPut),
    (r"/setup/alertmanager/test", AlertmanagerTest),
    (r"/setup/alertmanager/remove", AlertmanagerRemove),
    (r"/account", AccountPage),
    (r"/account/password", PasswordChange),
    (r"/account/codes", CodesStart),
    (r"/account/codes/confirm", CodesConfirm),
    (r"/account/codes/recovery", CodesAgain),
    (r"/account/codes/off", CodesOff),
    (r"/sign-in", SignIn),
    (r"/sign-in/code", SignInCode),
    (r"/sign-out", SignOut),
    (r"/welcome", Welcome),
)


def routes(parts: Parts) -> list[URLSpec]:
    """Every page of a web process. An address under neither /api nor a page is a page not found."""
    live = URLSpec("/live", LiveHandler, {"parts": parts, "route": "/live", "hub": Hub(parts)})
    specs = [URLSpec(pattern, handler, {"parts": parts, "route": route_of(pattern)}) for pattern, handler in PAGES]
    return [
        *specs,
        live,
        URLSpec(r"/(?!api/|health/|metrics$|static/).*", PageNotFound, {"parts": parts, "route": "page not found"}),
    ]


def route_of(pattern: str) -> str:
    """The pattern as the API's routes are written: `/services/{service}`."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern)
