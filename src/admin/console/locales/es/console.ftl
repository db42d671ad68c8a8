# Around every page
skip-to-content = Ir al contenido
nav-main = Principal
nav-keys = Claves
account-menu = Cuenta, idioma y tema
signed-in-as = Sesión de
language = Idioma
theme = Tema
theme-system = Sistema
theme-light = Claro
theme-dark = Oscuro
sign-out = Cerrar sesión
crumbs = Dónde está
cancel = Cancelar
actions = Acciones
yes = Sí
stale = Esta página no está al día: la pasarela no responde, o lo que se muestra ya no existe. Sigue preguntando.
pages = Páginas
previous = Anterior
next = Siguiente
to-key = Ir a la clave
to-keys = Ir a las claves

# Signing in
sign-in = Iniciar sesión
sign-in-lead = Use el token de un administrador. Se envía solo a esta pasarela y no se guarda.
admin-token = Token de administrador
admin-token-hint = El primero está en el archivo admin.token, junto al almacén.
sign-in-refused = Este token no se acepta. Compruebe que es de un administrador, que está completo y que sigue vigente.
sign-in-too-many = En un minuto se han rechazado demasiados tokens desde su dirección. Un token válido entra de inmediato.
sign-in-not-ready = La pasarela todavía está arrancando. Inténtelo de nuevo en un momento.
signed-out = Ha cerrado la sesión.
link-lead = Este enlace inicia sesión una sola vez, en los 15 minutos siguientes a su creación.
link-follow = Entrar en la consola
link-spent = Este enlace ya se ha usado o tiene más de 15 minutos.
link-use-token = Iniciar sesión con un token

# Numbers, instants, spans
seconds = { $count ->
    [one] { $n } segundo
   *[other] { $n } segundos
}
minutes = { $count ->
    [one] { $n } minuto
   *[other] { $n } minutos
}
hours = { $count ->
    [one] { $n } hora
   *[other] { $n } horas
}
days = { $count ->
    [one] { $n } día
   *[other] { $n } días
}
requests = { $count ->
    [one] { $n } petición
   *[other] { $n } peticiones
}
just-now = ahora mismo
ago = hace { $span }
in-span = en { $span }
left = quedan { $span }
never-ends = No caduca
date = { $day } { $month } { $year }, { $time } UTC
date-only = { $day } { $month } { $year }
month-1 = ene
month-2 = feb
month-3 = mar
month-4 = abr
month-5 = may
month-6 = jun
month-7 = jul
month-8 = ago
month-9 = sept
month-10 = oct
month-11 = nov
month-12 = dic
unit-m = minutos
unit-h = horas
unit-d = días
amount = Cantidad
unit = Unidad

# The list of keys
key = Clave
token-duration = Duración del token
roles = Roles
created = Creada
last-used = Último uso
status = Estado
active = Activa
inactive = Inactiva
outdated = Obsoleto
never-used = Nunca
no-roles = Ninguno
search = Buscar
search-label = Buscar por nombre, id, rol o responsable
filters = Filtros
show-all = Todas
show-renewing = En renovación
show-soon = Por caducar
show-outdated = Obsoletas
show-unused = Sin uso en 30 días
show-active = Activas
show-inactive = Inactivas
keys-found = { $count ->
    [one] { $n } clave
   *[other] { $n } claves
}
keys-place = { $from }–{ $to } de { $of }
none-found = Ninguna clave coincide
none-found-more = Pruebe con menos palabras o con otro filtro.
show-every-key = Mostrar todas las claves
no-keys = Todavía no hay claves
no-keys-more = Una clave es la identidad duradera de una integración. Su token se puede renovar sin que se rechace ninguna petición.
actions-for = Acciones para { $name }
open-key = Abrir
pending-deletion = Eliminación pendiente: token antiguo
held = En espera: token nuevo sin usar
pending-banner = { $count ->
    [one] { $n } clave tiene un token antiguo pendiente de eliminar.
   *[other] { $n } claves tienen un token antiguo pendiente de eliminar.
}
pending-banner-more = Hasta que se elimine, funcionan los dos tokens.
pending-banner-show = Mostrar

# A key
state-current = Actual
state-old = Antiguo
state-new = Nuevo
old-token = Token antiguo
new-token = Token nuevo
the-token = Token
token-ends = Caduca
requests-24h = Peticiones en 24 horas
requests-1h = { $n } en la última hora
about-key = Sobre esta clave
owner = Responsable
nobody = Nadie indicado
addresses = Direcciones permitidas
every-address = Todas las direcciones
note = Nota
no-note = Ninguna
no-roles-more = Ninguno: solo alcanza las rutas que no piden rol
duration-of-settings = La de los ajustes
generate-key = Generar clave
key-identification = Identificación de la clave

# Renewal
renew-token = Renovar token
renewal-open = Renovación en curso
renewal-opened = Abierta el
adoption-share = El { $percent } % de { $requests } en la última hora llegó con el token nuevo
adoption-none = Ninguna petición en la última hora, con ninguno de los dos tokens
callers-old = Quién usa el token antiguo
callers-new = Quién usa el token nuevo
callers-none = No se ha visto a nadie desde que se abrió la renovación.
route = Ruta
requests-of = { $n }×
what-next = Qué pasará ahora
next-later = Nada por sí solo: los dos tokens funcionan hasta que elimine el antiguo o deshaga la renovación.
next-held = El plazo venció antes de que nadie usara el token nuevo, así que no se eliminó nada. Los dos tokens funcionan hasta que usted decida.
next-after = El token antiguo se elimina al vencer el plazo si para entonces se ha usado el nuevo. Si no, se conserva y la clave queda marcada en espera.
next-after-whatever = El token antiguo se elimina al vencer el plazo, aunque nadie haya usado el nuevo.
next-quiet = El token antiguo se elimina cuando el nuevo esté en uso y el antiguo lleve { $span } sin usarse.
due = Plazo
quiet-since = Token antiguo sin uso desde
change-plan = Cambiar el plan
new-token-made = Token nuevo
copy-title = Copie el token nuevo
copy-lead = Entréguelo a quien se ocupa de { $name }. El token antiguo sigue funcionando.
copy = Copiar
copied = Copiado
copy-warning = Es la única vez que se muestra el token. Cópielo antes de salir de esta página.
copy-by-keys = El campo tiene el foco: Ctrl+A selecciona el token entero y Ctrl+C lo copia (en un Mac, ⌘A y ⌘C).
copy-done = Copiado. Guárdelo en un lugar seguro: no se volverá a mostrar.
delete-old-token = Eliminar token antiguo
plan-lead = ¿Cuándo debe dejar de funcionar el token antiguo?
plan-later = Después
plan-later-more = Los dos tokens funcionan hasta que elimine el antiguo.
plan-now = Ahora
plan-now-more = Quien todavía use el token antiguo queda fuera al instante. No se puede deshacer.
plan-after = Después de…
plan-after-more = Al vencer un plazo, si para entonces se ha usado el token nuevo.
plan-whatever = Eliminarlo aunque no se haya usado el token nuevo
plan-quiet = Sin uso durante…
plan-quiet-more = Cuando el token nuevo esté en uso y el antiguo lleve ese tiempo sin usarse.
span-mistake = Indique un tiempo mayor que cero y que termine en el futuro. Sin uso, lo mínimo es un minuto.
complete = Finalizar
closing-is-later = Cerrar esta página equivale a Después.
plan-stays = Hasta que finalice, el plan queda como está.
only-token = El token antiguo ya había caducado, así que el nuevo es el único.
cut-off-who = Quién quedaría fuera
cut-off-count = { $count ->
    [one] { $n } cliente ha usado el token antiguo y después no el nuevo: sería rechazado.
   *[other] { $n } clientes han usado el token antiguo y después no el nuevo: serían rechazados.
}
moved-count = { $count ->
    [one] { $n } cliente ha usado después el token nuevo: sigue funcionando.
   *[other] { $n } clientes han usado después el token nuevo: siguen funcionando.
}
cut-off-nobody = Nadie de los que se han visto: todos los clientes del token antiguo han usado después el nuevo.
sent-back-count = { $count ->
    [one] { $n } cliente usa ya el token nuevo: sería rechazado hasta que vuelva a usar el antiguo.
   *[other] { $n } clientes usan ya el token nuevo: serían rechazados hasta que vuelvan a usar el antiguo.
}
callers-most = Solo se muestran los 20 clientes con más peticiones.
has-moved = ya usa el token nuevo
old-last-used = El token antiguo se usó por última vez
old-never-used = El token antiguo no se ha usado.
new-last-used = El token nuevo se usó por última vez
new-never-used = El token nuevo no se ha usado: nadie se ve afectado.
new-never-used-warning = El token nuevo no se ha usado nunca. Quien llame con el antiguo será rechazado.
delete-old-lead = A partir de ahora solo funcionará el token nuevo de { $name }. No se puede deshacer.
undo-lead = El token antiguo de { $name } se conserva exactamente como estaba. El nuevo se rechaza a partir de ahora.
undo-who = Quién usa ya el token nuevo
delete = Eliminar
undo-renewal = Deshacer renovación
undo = Deshacer
done-completed = El token antiguo se ha eliminado. Solo funciona el nuevo.
done-undone = La renovación se ha deshecho. Solo funciona el token antiguo.
done-planned = El plan para el token antiguo está en vigor.

# What went wrong
trouble-not-found-title = Aquí no hay nada
trouble-not-found-advice = Puede que la dirección esté mal escrita o que la página se haya movido.
trouble-key-not-found-title = No existe esa clave
trouble-key-not-found-advice = Puede que se haya eliminado. Búsquela en la lista.
trouble-admin-not-found-title = No existe ese administrador
trouble-admin-not-found-advice = Puede que se haya eliminado. Mire la lista.
trouble-last-administrator-title = Nadie más podría volver a hacerlo
trouble-last-administrator-advice = Debe quedar un administrador que pueda modificar a todos los demás. Dé antes ese permiso a otro.
trouble-forbidden-title = No tiene permiso para eso
trouble-forbidden-advice = Sus permisos no lo incluyen. Pídalo a un administrador que pueda concederlos.
trouble-unauthenticated-title = La sesión ha terminado
trouble-unauthenticated-advice = Inicie sesión de nuevo.
trouble-renewal-open-title = Ya hay una renovación abierta
trouble-renewal-open-advice = Su token nuevo se mostró una vez y no se puede volver a mostrar. Si se ha perdido, deshaga la renovación y renueve otra vez: mientras tanto, el token antiguo sigue funcionando.
trouble-no-old-token-title = No hay token antiguo
trouble-no-old-token-advice = La renovación ha terminado entretanto. Abra la clave para ver cómo.
trouble-old-token-expired-title = El token antiguo ha caducado
trouble-old-token-expired-advice = Su duración terminó durante la renovación, así que ya no se puede deshacer. El token nuevo continúa.
trouble-version-mismatch-title = La clave ha cambiado entretanto
trouble-version-mismatch-advice = Alguien se adelantó. No se ha hecho nada. Vuelva a mirar la clave y decida.
trouble-name-taken-title = El nombre está ocupado
trouble-name-taken-advice = Otra clave tiene ese nombre. Elija otro.
trouble-store-unavailable-title = El almacén no responde
trouble-store-unavailable-advice = Las peticiones siguen como antes, pero ahora no se puede cambiar nada. Inténtelo de nuevo en un momento.
trouble-invalid-request-title = No se puede hacer así
trouble-invalid-request-advice = Abajo se indica qué está mal. Vuelva atrás y corríjalo.
trouble-old-token-in-use-title = El token antiguo está en uso
trouble-old-token-in-use-advice = Alguien lo acaba de usar. Mire quién es y decida.
trouble-new-token-in-use-title = El token nuevo está en uso
trouble-new-token-in-use-advice = Alguien lo acaba de usar. Mire quién es y decida.
trouble-tokens-affected-title = Algunos tokens terminarían o volverían
trouble-tokens-affected-advice = El cambio debe confirmarse con las cantidades actuales.
trouble-other-title = Algo ha fallado
trouble-other-advice = El registro de la pasarela dice por qué. Aquí no se muestra nada que no cuente.

# The rest of a key's life
edit = Editar
save = Guardar
edit-key = Editar clave
delete-key = Eliminar clave
activate = Activar
deactivate = Desactivar
key-generated = Clave generada
copy-lead-new = Entréguelo a quien se ocupa de { $name }. Es la única forma de llamar con esta clave.
name-hint = Un nombre de 1 a 120 caracteres que no tenga otra clave; sin / \ ? # % ni caracteres de control.
owner-hint = Quién responde por ella: un equipo o una persona.
roles-hint = Separados por espacios. Cada uno con a–z, 0–9 y : . _ -, como máximo 32.
addresses-hint = Separadas por espacios, por ejemplo 10.0.0.0/8. Vacío: todas las direcciones.
self-service = Puede renovarse sola
self-service-hint = Con su propio token, en /.relevo/self, si gateway.self_service está activado.
duration-own = Este tiempo:
duration-hint = Por ejemplo 90d, 36h o 1h 30m.
form-mistakes = Hay campos por corregir. Están marcados abajo.
understand-consequences = Lo entiendo, hágalo
understand-final = Entiendo que esto no se puede deshacer
tick-first = Marque la casilla para indicar que lo entiende.
tokens-end = { $count ->
    [one] { $n } token vigente terminaría al instante.
   *[other] { $n } tokens vigentes terminarían al instante.
}
tokens-revive = { $count ->
    [one] { $n } token terminado volvería a funcionar.
   *[other] { $n } tokens terminados volverían a funcionar.
}
deactivate-lead = Mientras { $name } esté inactiva, se rechaza toda petición con sus tokens. Los tokens se conservan y vuelven a funcionar cuando se active.
activate-lead = A partir de ahora se admiten de nuevo las peticiones con los tokens de { $name }.
delete-lead = Todos los tokens de { $name } se rechazan a partir de ahora y su nombre queda libre. Lo que se hizo con ella permanece en la auditoría.
key-never-used = No se ha usado nunca.
history = Historial
history-all = Todo en la auditoría
history-unread = Ahora no se puede leer el registro de auditoría. Inténtelo de nuevo en un momento.
history-none = Nada entre los cambios examinados. Busque más atrás.
labels = Etiquetas
done-edited = Los cambios se han guardado.
done-activated = La clave está activa.
done-deactivated = La clave está inactiva.
done-deleted = La clave se ha eliminado.

# Settings
nav-settings = Ajustes
settings-duration-more = Cuánto vive un token desde su propia creación, si la clave no dice otra cosa.
on-expiry = Cuando termina la duración de un token
expiry-refuse = Rechazarlo
expiry-warn = Admitirlo y mostrarlo como obsoleto
token-prefix = Los tokens empiezan por
done-settings-changed = Los ajustes están en vigor.

# Audit
nav-audit = Auditoría
audit-action = Qué
audit-any = Cualquier cosa
audit-actor = Por quién
audit-key-hint = Nombre o id
audit-older = Anteriores
audit-newest = Más recientes
audit-none = No se ha encontrado nada
audit-none-more = Busque menos, o más atrás. Una clave eliminada y un administrador se encuentran por su id.
audit-chain-whole = Cadena íntegra hasta la revisión { $revision }
audit-chain-behind = Verificando la cadena: hasta la revisión { $through } de { $revision }
audit-chain-broken = Cadena rota en la revisión { $revision }: { $detail }
action-key-created = Clave generada
action-key-edited = Clave editada
action-key-activated = Clave activada
action-key-deactivated = Clave desactivada
action-key-deleted = Clave eliminada
action-key-restored = Clave restaurada
action-renewal-opened = Renovación abierta
action-renewal-plan-changed = Plan cambiado
action-renewal-adopted = Token nuevo usado por primera vez
action-renewal-held = Renovación en espera
action-renewal-completed = Token antiguo eliminado
action-renewal-undone = Renovación deshecha
action-settings-changed = Ajustes cambiados
audit-command = Orden
action-command-refused = Orden rechazada
action-audit-pruned = Eventos antiguos eliminados
action-token-expiring = Token por caducar
action-token-expired = Token caducado
action-token-superseded-use = Intento con un token reemplazado
action-admin-token-expiring = Token de un administrador por caducar
action-admin-token-expired = Token de un administrador caducado
action-admin-token-superseded-use = Intento con un token reemplazado de un administrador
action-admin-created = Administrador creado
action-admin-edited = Administrador editado
action-admin-deleted = Administrador eliminado
action-admin-activated = Administrador activado
action-admin-deactivated = Administrador desactivado
action-admin-renewal-opened = Renovación de un administrador abierta
action-admin-renewal-plan-changed = Plan de renovación de un administrador cambiado
action-admin-renewal-adopted = Token nuevo de un administrador usado por primera vez
action-admin-renewal-held = Renovación de un administrador retenida
action-admin-renewal-completed = Token antiguo de un administrador eliminado
action-admin-renewal-undone = Renovación de un administrador deshecha
action-admin-restored = Administrador restaurado

# Overview
nav-overview = Resumen
overview-nothing = Nada que mostrar
overview-nothing-more = Sus permisos no incluyen ni claves ni métricas. Lo que incluyen está en el menú de arriba.
chart-requests = Peticiones
chart-refusals = Rechazos
last-hour = en la última hora
now = ahora
renewals-attention = Renovaciones que requieren atención
renewals-none = No hay ninguna renovación abierta.
ending-title = Tokens que caducan en 14 días
ending-none = Ningún token caduca pronto.
health-title = Estado del servicio
well = Bien
health-accepting = Acepta peticiones
health-keys-loaded = Claves cargadas
health-store = Almacén
health-certificates = Certificados
health-clock = Reloj
health-audit = Auditoría
health-upstream = Servidor de destino { $name }
health-webhook = Webhook { $name }

# Limits
limits = Límites
limits-configured = Según la configuración
limits-own = Estos:
limits-none = Ninguno
limits-rate = Ritmo
limits-quota = Cuota
limits-concurrent = A la vez
limits-hint = Un ritmo como 100/1s, o 100/1s/200 con una ráfaga; una cuota como 100000/month (hour, day, month). Lo que queda vacío no se limita.
limit-rate = { $requests } cada { $span }
limit-burst = (hasta { $n } de golpe)
limit-quota = { $requests } por { $span }
per-hour = hora
per-day = día
per-month = mes
limit-concurrent = { $count ->
    [one] { $n } petición en curso a la vez
   *[other] { $n } peticiones en curso a la vez
}

# Administradores
nav-admins = Administradores
admins-nav-keys = Administradores
admins-generate-key = Crear administrador
admins-key = Administrador
admins-key-identification = Nombre
admins-keys-found = { $count ->
    [one] { $n } administrador
   *[other] { $n } administradores
}
admins-none-found = Ningún administrador coincide
admins-show-every-key = Mostrar todos los administradores
admins-search-label = Buscar por nombre, id, permiso o responsable
admins-pending-banner = { $count ->
    [one] { $n } administrador tiene un token antiguo pendiente de eliminar.
   *[other] { $n } administradores tienen un token antiguo pendiente de eliminar.
}
admins-about-key = Sobre este administrador
admins-roles = Permisos
admins-no-roles-more = Ninguno: no puede ver ni hacer nada
admins-edit-key = Editar administrador
admins-delete-key = Eliminar administrador
admins-key-generated = Administrador creado
admins-copy-lead = Entréguelo a { $name }. El token antiguo sigue funcionando.
admins-copy-lead-new = Entréguelo a { $name }. Es la única forma de entrar como este administrador.
admins-name-hint = Un nombre de 1 a 120 caracteres que no tenga otro administrador; sin / \ ? # % ni caracteres de control. Figura en la auditoría.
admins-next-after = El token antiguo se elimina en la fecha límite si para entonces se ha usado el nuevo. Si no, se conserva y la renovación queda retenida.
admins-delete-lead = Todos los tokens de { $name } se rechazan desde ahora y el nombre queda libre. Lo que se hizo con él permanece en la auditoría.
admins-deactivate-lead = Mientras { $name } esté inactivo se rechaza toda llamada con sus tokens y sus sesiones terminan. Los tokens se conservan y vuelven a funcionar cuando esté activo.
admins-activate-lead = Desde ahora los tokens de { $name } se aceptan de nuevo.
admins-done-activated = El administrador está activo.
admins-done-deactivated = El administrador está inactivo.
admins-done-deleted = El administrador se ha eliminado.
admins-active = Activo
admins-inactive = Inactivo
admins-to-key = Ir al administrador
admins-to-keys = Ir a los administradores
admins-trouble-version-mismatch-title = El administrador ha cambiado entretanto
admins-trouble-version-mismatch-advice = Alguien fue más rápido. No se ha hecho nada. Mírelo de nuevo y decida.
admins-trouble-name-taken-advice = Otro administrador tiene ese nombre. Elija otro.
limited-to = Limitado al rol
limited-to-hint = Solo ve y modifica las claves con este rol. Vacío: todas las claves.
permissions-hint = Nadie concede lo que no tiene: lo que usted no puede hacer no aparece en la lista.
permission-keys-read = Ver claves, ajustes y estado
permission-keys-write = Crear, editar, activar, desactivar y eliminar claves
permission-keys-renew = Renovar tokens, eliminar los antiguos, deshacer
permission-settings-write = Cambiar los ajustes, recargar
permission-audit-read = Leer la auditoría
permission-metrics-read = Leer las métricas
permission-admins-write = Crear, editar, renovar y eliminar administradores
