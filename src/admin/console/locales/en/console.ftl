# Around every page
skip-to-content = Skip to content
nav-main = Main
nav-keys = Keys
account-menu = Account, language and theme
signed-in-as = Signed in as
language = Language
theme = Theme
theme-system = System
theme-light = Light
theme-dark = Dark
sign-out = Sign out
crumbs = Where you are
cancel = Cancel
actions = Actions
yes = Yes
stale = This page is not up to date: the gateway does not answer, or what is shown is there no more. It goes on asking.
pages = Pages
previous = Previous
next = Next
to-key = Go to the key
to-keys = Go to the keys

# Signing in
sign-in = Sign in
sign-in-lead = Use the token of an administrator. It is sent to this gateway only and not kept.
admin-token = Administrator’s token
admin-token-hint = The first one is in the file admin.token beside the store.
sign-in-refused = This token is not accepted. Check that it is an administrator’s token, whole and still valid.
sign-in-too-many = Too many tokens from your address were refused within a minute. A token that is accepted is let in at once.
sign-in-not-ready = The gateway is still starting. Try again in a moment.
signed-out = You have signed out.
link-lead = This link signs you in once, within 15 minutes of its making.
link-follow = Sign in to the console
link-spent = This link has been used already, or is older than 15 minutes.
link-use-token = Sign in with a token

# Numbers, instants, spans
seconds = { $count ->
    [one] { $n } second
   *[other] { $n } seconds
}
minutes = { $count ->
    [one] { $n } minute
   *[other] { $n } minutes
}
hours = { $count ->
    [one] { $n } hour
   *[other] { $n } hours
}
days = { $count ->
    [one] { $n } day
   *[other] { $n } days
}
requests = { $count ->
    [one] { $n } request
   *[other] { $n } requests
}
just-now = just now
ago = { $span } ago
in-span = in { $span }
left = { $span } left
never-ends = Never ends
date = { $day } { $month } { $year }, { $time } UTC
date-only = { $day } { $month } { $year }
month-1 = Jan
month-2 = Feb
month-3 = Mar
month-4 = Apr
month-5 = May
month-6 = Jun
month-7 = Jul
month-8 = Aug
month-9 = Sep
month-10 = Oct
month-11 = Nov
month-12 = Dec
unit-m = minutes
unit-h = hours
unit-d = days
amount = How many
unit = Unit

# The list of keys
key = Key
token-duration = Token duration
roles = Roles
created = Created
last-used = Last used
status = Status
active = Active
inactive = Inactive
outdated = Outdated
never-used = Never
no-roles = None
search = Search
search-label = Search by name, id, role or owner
filters = Filters
show-all = All
show-renewing = Being renewed
show-soon = Ending soon
show-outdated = Outdated
show-unused = Unused for 30 days
show-active = Active
show-inactive = Inactive
keys-found = { $count ->
    [one] { $n } key
   *[other] { $n } keys
}
keys-place = { $from }–{ $to } of { $of }
none-found = No key matches
none-found-more = Try fewer words or another filter.
show-every-key = Show every key
no-keys = No keys yet
no-keys-more = A key is the lasting identity of one integration. Its token can be renewed without one refused request.
actions-for = Actions for { $name }
open-key = Open
pending-deletion = Pending deletion: old token
held = Held: new token not used
pending-banner = { $count ->
    [one] { $n } key has an old token that awaits deletion.
   *[other] { $n } keys have an old token that awaits deletion.
}
pending-banner-more = Until it is deleted, both tokens work.
pending-banner-show = Show

# A key
state-current = Current
state-old = Old
state-new = New
old-token = Old token
new-token = New token
the-token = Token
token-ends = Ends
requests-24h = Requests in 24 hours
requests-1h = { $n } in the last hour
about-key = About this key
owner = Owner
nobody = Nobody named
addresses = Allowed addresses
every-address = Every address
note = Note
no-note = None
no-roles-more = None: reaches only routes that ask for no role
duration-of-settings = As in the settings
generate-key = Generate key
key-identification = Key identification

# Renewal
renew-token = Renew token
renewal-open = Renewal in progress
renewal-opened = Opened
adoption-share = { $percent }% of { $requests } in the last hour came with the new token
adoption-none = No request in the last hour, with either token
callers-old = Who uses the old token
callers-new = Who uses the new token
callers-none = Nobody has been seen since the renewal was opened.
route = Route
requests-of = { $n }×
what-next = What happens next
next-later = Nothing by itself: both tokens work until you delete the old one or undo the renewal.
next-held = The deadline passed before anybody had used the new token, so nothing was deleted. Both tokens work until you decide.
next-after = The old token is deleted at the deadline if the new one has been used by then. If not, it stays, and this key is marked as held.
next-after-whatever = The old token is deleted at the deadline, even if nobody has used the new one.
next-quiet = The old token is deleted once the new one is in use and the old one has not been used for { $span }.
due = Deadline
quiet-since = Old token quiet since
change-plan = Change plan
new-token-made = New token
copy-title = Copy the new token
copy-lead = Give it to whoever runs { $name }. The old token still works.
copy = Copy
copied = Copied
copy-warning = This is the only time the token is shown. Copy it before you leave this page.
copy-by-keys = The field has the focus: Ctrl+A selects the whole token and Ctrl+C copies it (on a Mac ⌘A, ⌘C).
copy-done = Copied. Keep it in a safe place: it will not be shown again.
delete-old-token = Delete old token
plan-lead = When should the old token stop working?
plan-later = Later
plan-later-more = Both tokens work until you delete the old one.
plan-now = Now
plan-now-more = Whoever still uses the old token is cut off at once. This cannot be undone.
plan-after = After…
plan-after-more = At a deadline, if the new token has been used by then.
plan-whatever = Delete it even if the new token has not been used
plan-quiet = When quiet for…
plan-quiet-more = Once the new token is in use and the old one has not been used for so long.
span-mistake = Give a time longer than nothing that ends in the future. The shortest quiet is one minute.
complete = Complete
closing-is-later = Closing this page is the same as Later.
plan-stays = Until you complete this, the plan stays as it is.
only-token = The old token had ended, so the new one is the only one.
cut-off-who = Who would be cut off
cut-off-count = { $count ->
    [one] { $n } caller has used the old token and not the new one since: it would be refused.
   *[other] { $n } callers have used the old token and not the new one since: they would be refused.
}
moved-count = { $count ->
    [one] { $n } caller has used the new token since: it goes on.
   *[other] { $n } callers have used the new token since: they go on.
}
cut-off-nobody = Nobody who has been seen: every caller of the old token has used the new one since.
sent-back-count = { $count ->
    [one] { $n } caller uses the new token already: it would be refused until it uses the old one again.
   *[other] { $n } callers use the new token already: they would be refused until they use the old one again.
}
callers-most = Only the 20 callers with the most requests are listed.
has-moved = uses the new token now
old-last-used = The old token was last used
old-never-used = The old token has not been used.
new-last-used = The new token was last used
new-never-used = The new token has not been used: nobody is affected.
new-never-used-warning = The new token has never been used. Whoever calls with the old one will be refused.
delete-old-lead = From now on only the new token of { $name } works. This cannot be undone.
undo-lead = The old token of { $name } stays, exactly as it was. The new one is refused from now on.
undo-who = Who already uses the new token
delete = Delete
undo-renewal = Undo renewal
undo = Undo
done-completed = The old token is deleted. Only the new one works.
done-undone = The renewal is undone. Only the old token works.
done-planned = The plan for the old token is in force.

# What went wrong
trouble-not-found-title = There is nothing here
trouble-not-found-advice = The address may be mistyped, or the page has moved.
trouble-key-not-found-title = There is no such key
trouble-key-not-found-advice = It may have been deleted. Search for it in the list.
trouble-admin-not-found-title = There is no such administrator
trouble-admin-not-found-advice = It may have been deleted. Look at the list.
trouble-last-administrator-title = Nobody else could do this again
trouble-last-administrator-advice = One administrator must be left who can write all others. Give another one that permission first.
trouble-forbidden-title = You may not do that
trouble-forbidden-advice = Your permissions do not cover it. Ask an administrator who can grant them.
trouble-unauthenticated-title = You are no longer signed in
trouble-unauthenticated-advice = Sign in again.
trouble-renewal-open-title = A renewal is open already
trouble-renewal-open-advice = Its new token was shown once and cannot be shown again. If it is lost, undo the renewal and renew again: the old token keeps working meanwhile.
trouble-no-old-token-title = There is no old token
trouble-no-old-token-advice = The renewal has ended meanwhile. Open the key to see how.
trouble-old-token-expired-title = The old token has expired
trouble-old-token-expired-advice = Its duration ended during the renewal, so the renewal cannot be undone any more. The new token goes on.
trouble-version-mismatch-title = The key has changed meanwhile
trouble-version-mismatch-advice = Somebody else was faster. Nothing was done. Look at the key again, then decide.
trouble-name-taken-title = The name is taken
trouble-name-taken-advice = Another key has this name. Choose a different one.
trouble-store-unavailable-title = The store does not answer
trouble-store-unavailable-advice = Requests go on as before, but nothing can be changed now. Try again in a moment.
trouble-invalid-request-title = That cannot be done as asked
trouble-invalid-request-advice = What is wrong stands below. Go back and mend it.
trouble-old-token-in-use-title = The old token is in use
trouble-old-token-in-use-advice = Somebody used it just now. Look at who it is, then decide.
trouble-new-token-in-use-title = The new token is in use
trouble-new-token-in-use-advice = Somebody used it just now. Look at who it is, then decide.
trouble-tokens-affected-title = Tokens would end or come back
trouble-tokens-affected-advice = The change needs to be confirmed with the counts as they are now.
trouble-other-title = Something went wrong
trouble-other-advice = The gateway’s log says why. Nothing is shown here that it does not tell.

# The rest of a key's life
edit = Edit
save = Save
edit-key = Edit key
delete-key = Delete key
activate = Activate
deactivate = Deactivate
key-generated = Key generated
copy-lead-new = Give it to whoever runs { $name }. It is the only way to call as this key.
name-hint = A name of 1 to 120 characters that no other key has; without / \ ? # % and without control characters.
owner-hint = Who answers for it: a team or a person.
roles-hint = Separated by spaces. Each of a–z, 0–9 and : . _ -, at most 32.
addresses-hint = Separated by spaces, such as 10.0.0.0/8. Empty: every address.
self-service = May renew itself
self-service-hint = With its own token, at /.relevo/self, where gateway.self_service is on.
duration-own = This long:
duration-hint = Such as 90d, 36h or 1h 30m.
form-mistakes = Some fields need to be mended. They are marked below.
understand-consequences = I understand, do it
understand-final = I understand that this cannot be undone
tick-first = Tick the box to say that you understand.
tokens-end = { $count ->
    [one] { $n } living token would end at once.
   *[other] { $n } living tokens would end at once.
}
tokens-revive = { $count ->
    [one] { $n } ended token would work again.
   *[other] { $n } ended tokens would work again.
}
deactivate-lead = While { $name } is inactive, every request with its tokens is refused. Its tokens stay and work again once it is active.
activate-lead = From now on requests with the tokens of { $name } are let through again.
delete-lead = Every token of { $name } is refused from now on, and its name is free again. What was done with it stays in the audit log.
key-never-used = It has never been used.
history = History
history-all = Everything in the audit log
history-unread = The audit log cannot be read now. Try again in a moment.
history-none = Nothing among the changes looked at. Look further back.
labels = Labels
done-edited = The changes are saved.
done-activated = The key is active.
done-deactivated = The key is inactive.
done-deleted = The key is deleted.

# Settings
nav-settings = Settings
settings-duration-more = How long a token lives, counted from its own making, where a key says nothing else.
on-expiry = When a token’s duration is over
expiry-refuse = Refuse it
expiry-warn = Let it through and show it as outdated
token-prefix = Tokens begin with
done-settings-changed = The settings are in force.

# Audit
nav-audit = Audit
audit-action = What
audit-any = Anything
audit-actor = By whom
audit-key-hint = Name or id
audit-older = Older
audit-newest = Newest
audit-none = Nothing was found
audit-none-more = Search for less, or look further back. A deleted key and an administrator are found by their id.
audit-chain-whole = Chain whole through revision { $revision }
audit-chain-behind = Chain being verified: through revision { $through } of { $revision }
audit-chain-broken = Chain broken at revision { $revision }: { $detail }
action-key-created = Key generated
action-key-edited = Key edited
action-key-activated = Key activated
action-key-deactivated = Key deactivated
action-key-deleted = Key deleted
action-key-restored = Key restored
action-renewal-opened = Renewal opened
action-renewal-plan-changed = Plan changed
action-renewal-adopted = New token used for the first time
action-renewal-held = Renewal held
action-renewal-completed = Old token deleted
action-renewal-undone = Renewal undone
action-settings-changed = Settings changed
audit-command = Command
action-command-refused = Command refused
action-audit-pruned = Old events removed
action-token-expiring = Token ends soon
action-token-expired = Token ended
action-token-superseded-use = Replaced token tried
action-admin-token-expiring = Administrator’s token ends soon
action-admin-token-expired = Administrator’s token ended
action-admin-token-superseded-use = Administrator’s replaced token tried
action-admin-created = Administrator created
action-admin-edited = Administrator edited
action-admin-deleted = Administrator deleted
action-admin-activated = Administrator activated
action-admin-deactivated = Administrator deactivated
action-admin-renewal-opened = Renewal of an administrator opened
action-admin-renewal-plan-changed = Plan of an administrator’s renewal changed
action-admin-renewal-adopted = Administrator’s new token used for the first time
action-admin-renewal-held = Renewal of an administrator held
action-admin-renewal-completed = Administrator’s old token deleted
action-admin-renewal-undone = Renewal of an administrator undone
action-admin-restored = Administrator restored

# Overview
nav-overview = Overview
overview-nothing = Nothing to show
overview-nothing-more = Your permissions cover neither keys nor metrics. What they cover is in the menu above.
chart-requests = Requests
chart-refusals = Refusals
last-hour = in the last hour
now = now
renewals-attention = Renewals that need attention
renewals-none = No renewal is open.
ending-title = Tokens that end within 14 days
ending-none = No token ends soon.
health-title = Health
well = Well
health-accepting = Accepting requests
health-keys-loaded = Keys loaded
health-store = Store
health-certificates = Certificates
health-clock = Clock
health-audit = Audit log
health-upstream = Upstream { $name }
health-webhook = Webhook { $name }

# Limits
limits = Limits
limits-configured = As configured
limits-own = These:
limits-none = None
limits-rate = Rate
limits-quota = Quota
limits-concurrent = At once
limits-hint = A rate such as 100/1s, or 100/1s/200 with a burst; a quota such as 100000/month (hour, day, month). What is empty is not limited.
limit-rate = { $requests } per { $span }
limit-burst = (up to { $n } at once)
limit-quota = { $requests } per { $span }
per-hour = hour
per-day = day
per-month = month
limit-concurrent = { $count ->
    [one] { $n } request under way at a time
   *[other] { $n } requests under way at a time
}

# Administrators
nav-admins = Administrators
admins-nav-keys = Administrators
admins-generate-key = Create administrator
admins-key = Administrator
admins-key-identification = Name
admins-keys-found = { $count ->
    [one] { $n } administrator
   *[other] { $n } administrators
}
admins-none-found = No administrator matches
admins-show-every-key = Show every administrator
admins-search-label = Search by name, id, permission or owner
admins-pending-banner = { $count ->
    [one] { $n } administrator has an old token that awaits deletion.
   *[other] { $n } administrators have an old token that awaits deletion.
}
admins-about-key = About this administrator
admins-roles = Permissions
admins-no-roles-more = None: nothing can be seen or done
admins-edit-key = Edit administrator
admins-delete-key = Delete administrator
admins-key-generated = Administrator created
admins-copy-lead = Give it to { $name }. The old token still works.
admins-copy-lead-new = Give it to { $name }. It is the only way to sign in as this administrator.
admins-name-hint = A name of 1 to 120 characters that no other administrator has; without / \ ? # % and without control characters. It stands in the audit log.
admins-next-after = The old token is deleted at the deadline if the new one has been used by then. If not, it stays, and the renewal is held.
admins-delete-lead = Every token of { $name } is refused from now on, and the name is free again. What was done under it stays in the audit log.
admins-deactivate-lead = While { $name } is inactive, every call with these tokens is refused, and sessions end. The tokens stay and work again once the administrator is active.
admins-activate-lead = From now on the tokens of { $name } are accepted again.
admins-done-activated = The administrator is active.
admins-done-deactivated = The administrator is inactive.
admins-done-deleted = The administrator is deleted.
admins-active = Active
admins-inactive = Inactive
admins-to-key = Go to the administrator
admins-to-keys = Go to the administrators
admins-trouble-version-mismatch-title = The administrator has changed meanwhile
admins-trouble-version-mismatch-advice = Somebody else was faster. Nothing was done. Look again, then decide.
admins-trouble-name-taken-advice = Another administrator has this name. Choose a different one.
limited-to = Limited to the role
limited-to-hint = Only keys that carry this role can be seen and changed. Empty: every key.
permissions-hint = Nobody grants what he lacks: what you may not do yourself is not listed.
permission-keys-read = See keys, settings and status
permission-keys-write = Create, edit, switch and delete keys
permission-keys-renew = Renew tokens, delete old ones, undo
permission-settings-write = Change settings, reload
permission-audit-read = Read the audit log
permission-metrics-read = Read metrics
permission-admins-write = Create, edit, renew and delete administrators
