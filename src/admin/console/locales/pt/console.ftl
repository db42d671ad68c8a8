# Around every page
skip-to-content = Ir para o conteúdo
nav-main = Principal
nav-keys = Chaves
account-menu = Conta, idioma e tema
signed-in-as = Sessão de
language = Idioma
theme = Tema
theme-system = Sistema
theme-light = Claro
theme-dark = Escuro
sign-out = Sair
crumbs = Onde você está
cancel = Cancelar
actions = Ações
yes = Sim
stale = Esta página não está em dia: o gateway não responde, ou o que ela mostra já não existe. Ela continua perguntando.
pages = Páginas
previous = Anterior
next = Próxima
to-key = Ir para a chave
to-keys = Ir para as chaves

# Signing in
sign-in = Entrar
sign-in-lead = Use o token de um administrador. Ele é enviado somente a este gateway e não é guardado.
admin-token = Token de administrador
admin-token-hint = O primeiro está no arquivo admin.token, ao lado do armazenamento.
sign-in-refused = Este token não é aceito. Confira se é de um administrador, se está completo e ainda é válido.
sign-in-too-many = Muitos tokens do seu endereço foram recusados em um minuto. Um token válido entra na hora.
sign-in-not-ready = O gateway ainda está iniciando. Tente de novo em instantes.
signed-out = Você saiu.
link-lead = Este link entra uma única vez, em até 15 minutos depois de criado.
link-follow = Entrar no console
link-spent = Este link já foi usado ou tem mais de 15 minutos.
link-use-token = Entrar com um token

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
    [one] { $n } dia
   *[other] { $n } dias
}
requests = { $count ->
    [one] { $n } requisição
   *[other] { $n } requisições
}
just-now = agora mesmo
ago = há { $span }
in-span = em { $span }
left = restam { $span }
never-ends = Não expira
date = { $day } de { $month } de { $year }, { $time } UTC
date-only = { $day } de { $month } de { $year }
month-1 = jan.
month-2 = fev.
month-3 = mar.
month-4 = abr.
month-5 = mai.
month-6 = jun.
month-7 = jul.
month-8 = ago.
month-9 = set.
month-10 = out.
month-11 = nov.
month-12 = dez.
unit-m = minutos
unit-h = horas
unit-d = dias
amount = Quantidade
unit = Unidade

# The list of keys
key = Chave
token-duration = Duração do token
roles = Papéis
created = Criada
last-used = Último uso
status = Situação
active = Ativa
inactive = Inativa
outdated = Obsoleto
never-used = Nunca
no-roles = Nenhum
search = Buscar
search-label = Buscar por nome, id, papel ou responsável
filters = Filtros
show-all = Todas
show-renewing = Em renovação
show-soon = A expirar
show-outdated = Obsoletas
show-unused = Sem uso há 30 dias
show-active = Ativas
show-inactive = Inativas
keys-found = { $count ->
    [one] { $n } chave
   *[other] { $n } chaves
}
keys-place = { $from }–{ $to } de { $of }
none-found = Nenhuma chave corresponde
none-found-more = Tente com menos palavras ou outro filtro.
show-every-key = Mostrar todas as chaves
no-keys = Ainda não há chaves
no-keys-more = Uma chave é a identidade duradoura de uma integração. O token dela pode ser renovado sem nenhuma requisição recusada.
actions-for = Ações para { $name }
open-key = Abrir
pending-deletion = Exclusão pendente: token antigo
held = Em espera: token novo sem uso
pending-banner = { $count ->
    [one] { $n } chave tem um token antigo à espera de exclusão.
   *[other] { $n } chaves têm um token antigo à espera de exclusão.
}
pending-banner-more = Até ele ser excluído, os dois tokens funcionam.
pending-banner-show = Mostrar

# A key
state-current = Atual
state-old = Antigo
state-new = Novo
old-token = Token antigo
new-token = Token novo
the-token = Token
token-ends = Expira
requests-24h = Requisições em 24 horas
requests-1h = { $n } na última hora
about-key = Sobre esta chave
owner = Responsável
nobody = Ninguém indicado
addresses = Endereços permitidos
every-address = Todos os endereços
note = Nota
no-note = Nenhuma
no-roles-more = Nenhum: alcança somente rotas que não pedem papel
duration-of-settings = A das configurações
generate-key = Gerar chave
key-identification = Identificação da chave

# Renewal
renew-token = Renovar token
renewal-open = Renovação em andamento
renewal-opened = Aberta em
adoption-share = { $percent }% de { $requests } na última hora vieram com o token novo
adoption-none = Nenhuma requisição na última hora, com nenhum dos dois tokens
callers-old = Quem usa o token antigo
callers-new = Quem usa o token novo
callers-none = Ninguém foi visto desde que a renovação foi aberta.
route = Rota
requests-of = { $n }×
what-next = O que acontece a seguir
next-later = Nada por si só: os dois tokens funcionam até você excluir o antigo ou desfazer a renovação.
next-held = O prazo passou antes que alguém usasse o token novo, por isso nada foi excluído. Os dois tokens funcionam até você decidir.
next-after = O token antigo é excluído no prazo se até lá o novo tiver sido usado. Se não, ele fica, e a chave é marcada como em espera.
next-after-whatever = O token antigo é excluído no prazo, mesmo que ninguém tenha usado o novo.
next-quiet = O token antigo é excluído quando o novo estiver em uso e o antigo ficar { $span } sem uso.
due = Prazo
quiet-since = Token antigo sem uso desde
change-plan = Mudar o plano
new-token-made = Token novo
copy-title = Copie o token novo
copy-lead = Entregue-o a quem cuida de { $name }. O token antigo continua funcionando.
copy = Copiar
copied = Copiado
copy-warning = Esta é a única vez em que o token é mostrado. Copie-o antes de sair desta página.
copy-by-keys = O campo tem o foco: Ctrl+A seleciona o token inteiro e Ctrl+C o copia (no Mac, ⌘A e ⌘C).
copy-done = Copiado. Guarde-o em lugar seguro: ele não será mostrado de novo.
delete-old-token = Excluir token antigo
plan-lead = Quando o token antigo deve parar de funcionar?
plan-later = Depois
plan-later-more = Os dois tokens funcionam até você excluir o antigo.
plan-now = Agora
plan-now-more = Quem ainda usa o token antigo é cortado na hora. Não é possível desfazer.
plan-after = Depois de…
plan-after-more = Em um prazo, se até lá o token novo tiver sido usado.
plan-whatever = Excluir mesmo que o token novo não tenha sido usado
plan-quiet = Sem uso durante…
plan-quiet-more = Quando o token novo estiver em uso e o antigo ficar esse tempo sem uso.
span-mistake = Informe um tempo maior que zero e que termine no futuro. Sem uso, o mínimo é um minuto.
complete = Finalizar
closing-is-later = Fechar esta página equivale a Depois.
plan-stays = Até você finalizar, o plano fica como está.
only-token = O token antigo já tinha expirado, por isso o novo é o único.
cut-off-who = Quem seria cortado
cut-off-count = { $count ->
    [one] { $n } cliente usou o token antigo e depois não o novo: seria recusado.
   *[other] { $n } clientes usaram o token antigo e depois não o novo: seriam recusados.
}
moved-count = { $count ->
    [one] { $n } cliente usou depois o token novo: continua funcionando.
   *[other] { $n } clientes usaram depois o token novo: continuam funcionando.
}
cut-off-nobody = Ninguém dos que foram vistos: todos os clientes do token antigo usaram depois o novo.
sent-back-count = { $count ->
    [one] { $n } cliente já usa o token novo: seria recusado até voltar a usar o antigo.
   *[other] { $n } clientes já usam o token novo: seriam recusados até voltarem a usar o antigo.
}
callers-most = Só são mostrados os 20 clientes com mais requisições.
has-moved = já usa o token novo
old-last-used = O token antigo foi usado pela última vez
old-never-used = O token antigo não foi usado.
new-last-used = O token novo foi usado pela última vez
new-never-used = O token novo não foi usado: ninguém é afetado.
new-never-used-warning = O token novo nunca foi usado. Quem chamar com o antigo será recusado.
delete-old-lead = A partir de agora só o token novo de { $name } funciona. Não é possível desfazer.
undo-lead = O token antigo de { $name } fica exatamente como estava. O novo passa a ser recusado.
undo-who = Quem já usa o token novo
delete = Excluir
undo-renewal = Desfazer renovação
undo = Desfazer
done-completed = O token antigo foi excluído. Só o novo funciona.
done-undone = A renovação foi desfeita. Só o token antigo funciona.
done-planned = O plano para o token antigo está em vigor.

# What went wrong
trouble-not-found-title = Não há nada aqui
trouble-not-found-advice = O endereço pode estar errado, ou a página mudou de lugar.
trouble-key-not-found-title = Essa chave não existe
trouble-key-not-found-advice = Ela pode ter sido excluída. Procure-a na lista.
trouble-admin-not-found-title = Esse administrador não existe
trouble-admin-not-found-advice = Pode ter sido excluído. Veja a lista.
trouble-last-administrator-title = Ninguém mais poderia fazer isso de novo
trouble-last-administrator-advice = Deve restar um administrador que possa alterar todos os outros. Dê antes essa permissão a outro.
trouble-forbidden-title = Você não pode fazer isso
trouble-forbidden-advice = Suas permissões não incluem isso. Peça a um administrador que possa concedê-las.
trouble-unauthenticated-title = A sessão terminou
trouble-unauthenticated-advice = Entre de novo.
trouble-renewal-open-title = Já há uma renovação aberta
trouble-renewal-open-advice = O token novo foi mostrado uma vez e não pode ser mostrado de novo. Se ele se perdeu, desfaça a renovação e renove outra vez: enquanto isso, o token antigo continua funcionando.
trouble-no-old-token-title = Não há token antigo
trouble-no-old-token-advice = A renovação terminou nesse meio-tempo. Abra a chave para ver como.
trouble-old-token-expired-title = O token antigo expirou
trouble-old-token-expired-advice = A duração dele terminou durante a renovação, por isso ela não pode mais ser desfeita. O token novo continua.
trouble-version-mismatch-title = A chave mudou nesse meio-tempo
trouble-version-mismatch-advice = Alguém foi mais rápido. Nada foi feito. Olhe a chave de novo e decida.
trouble-name-taken-title = O nome já está em uso
trouble-name-taken-advice = Outra chave tem esse nome. Escolha outro.
trouble-store-unavailable-title = O armazenamento não responde
trouble-store-unavailable-advice = As requisições seguem como antes, mas nada pode ser mudado agora. Tente de novo em instantes.
trouble-invalid-request-title = Assim não é possível
trouble-invalid-request-advice = O que está errado aparece abaixo. Volte e corrija.
trouble-old-token-in-use-title = O token antigo está em uso
trouble-old-token-in-use-advice = Alguém acabou de usá-lo. Veja quem é e decida.
trouble-new-token-in-use-title = O token novo está em uso
trouble-new-token-in-use-advice = Alguém acabou de usá-lo. Veja quem é e decida.
trouble-tokens-affected-title = Tokens terminariam ou voltariam
trouble-tokens-affected-advice = A mudança precisa ser confirmada com as quantidades de agora.
trouble-other-title = Algo deu errado
trouble-other-advice = O log do gateway diz por quê. Aqui não aparece nada que ele não conte.

# The rest of a key's life
edit = Editar
save = Salvar
edit-key = Editar chave
delete-key = Excluir chave
activate = Ativar
deactivate = Desativar
key-generated = Chave gerada
copy-lead-new = Entregue-o a quem cuida de { $name }. É a única forma de chamar com esta chave.
name-hint = Um nome de 1 a 120 caracteres que nenhuma outra chave tenha; sem / \ ? # % e sem caracteres de controle.
owner-hint = Quem responde por ela: uma equipe ou uma pessoa.
roles-hint = Separados por espaços. Cada um com a–z, 0–9 e : . _ -, no máximo 32.
addresses-hint = Separados por espaços, por exemplo 10.0.0.0/8. Vazio: todos os endereços.
self-service = Pode renovar-se sozinha
self-service-hint = Com o seu próprio token, em /.relevo/self, se gateway.self_service estiver ativado.
duration-own = Este tempo:
duration-hint = Por exemplo 90d, 36h ou 1h 30m.
form-mistakes = Há campos a corrigir. Eles estão marcados abaixo.
understand-consequences = Entendo, pode fazer
understand-final = Entendo que isto não pode ser desfeito
tick-first = Marque a caixa para dizer que entende.
tokens-end = { $count ->
    [one] { $n } token vivo terminaria na hora.
   *[other] { $n } tokens vivos terminariam na hora.
}
tokens-revive = { $count ->
    [one] { $n } token terminado voltaria a funcionar.
   *[other] { $n } tokens terminados voltariam a funcionar.
}
deactivate-lead = Enquanto { $name } estiver inativa, toda requisição com os tokens dela é recusada. Os tokens ficam e voltam a funcionar quando ela for ativada.
activate-lead = A partir de agora as requisições com os tokens de { $name } voltam a ser aceitas.
delete-lead = Todos os tokens de { $name } passam a ser recusados, e o nome fica livre. O que foi feito com ela permanece na auditoria.
key-never-used = Ela nunca foi usada.
history = Histórico
history-all = Tudo na auditoria
history-unread = O registro de auditoria não pode ser lido agora. Tente de novo em um instante.
history-none = Nada entre as alterações examinadas. Procure mais atrás.
labels = Etiquetas
done-edited = As alterações foram salvas.
done-activated = A chave está ativa.
done-deactivated = A chave está inativa.
done-deleted = A chave foi excluída.

# Settings
nav-settings = Configurações
settings-duration-more = Quanto vive um token a partir da própria criação, se a chave não disser outra coisa.
on-expiry = Quando a duração de um token acaba
expiry-refuse = Recusá-lo
expiry-warn = Aceitá-lo e mostrá-lo como obsoleto
token-prefix = Os tokens começam com
done-settings-changed = As configurações estão em vigor.

# Audit
nav-audit = Auditoria
audit-action = O quê
audit-any = Qualquer coisa
audit-actor = Por quem
audit-key-hint = Nome ou id
audit-older = Mais antigos
audit-newest = Mais recentes
audit-none = Nada foi encontrado
audit-none-more = Procure por menos, ou mais atrás. Uma chave excluída e um administrador são encontrados pelo id.
audit-chain-whole = Cadeia íntegra até a revisão { $revision }
audit-chain-behind = Verificando a cadeia: até a revisão { $through } de { $revision }
audit-chain-broken = Cadeia rompida na revisão { $revision }: { $detail }
action-key-created = Chave gerada
action-key-edited = Chave editada
action-key-activated = Chave ativada
action-key-deactivated = Chave desativada
action-key-deleted = Chave excluída
action-key-restored = Chave restaurada
action-renewal-opened = Renovação aberta
action-renewal-plan-changed = Plano alterado
action-renewal-adopted = Token novo usado pela primeira vez
action-renewal-held = Renovação em espera
action-renewal-completed = Token antigo excluído
action-renewal-undone = Renovação desfeita
action-settings-changed = Configurações alteradas
audit-command = Comando
action-command-refused = Comando recusado
action-audit-pruned = Eventos antigos removidos
action-token-expiring = Token a expirar
action-token-expired = Token expirado
action-token-superseded-use = Tentativa com um token substituído
action-admin-token-expiring = Token de um administrador a expirar
action-admin-token-expired = Token de um administrador expirado
action-admin-token-superseded-use = Tentativa com um token substituído de um administrador
action-admin-created = Administrador criado
action-admin-edited = Administrador editado
action-admin-deleted = Administrador excluído
action-admin-activated = Administrador ativado
action-admin-deactivated = Administrador desativado
action-admin-renewal-opened = Renovação de um administrador aberta
action-admin-renewal-plan-changed = Plano de renovação de um administrador alterado
action-admin-renewal-adopted = Token novo de um administrador usado pela primeira vez
action-admin-renewal-held = Renovação de um administrador retida
action-admin-renewal-completed = Token antigo de um administrador excluído
action-admin-renewal-undone = Renovação de um administrador desfeita
action-admin-restored = Administrador restaurado

# Overview
nav-overview = Visão geral
overview-nothing = Nada a mostrar
overview-nothing-more = Suas permissões não incluem chaves nem métricas. O que elas incluem está no menu acima.
chart-requests = Requisições
chart-refusals = Recusas
last-hour = na última hora
now = agora
renewals-attention = Renovações que pedem atenção
renewals-none = Nenhuma renovação está aberta.
ending-title = Tokens que expiram em 14 dias
ending-none = Nenhum token expira em breve.
health-title = Saúde do serviço
well = Bem
health-accepting = Aceita requisições
health-keys-loaded = Chaves carregadas
health-store = Armazenamento
health-certificates = Certificados
health-clock = Relógio
health-audit = Auditoria
health-upstream = Servidor de destino { $name }
health-webhook = Webhook { $name }

# Limits
limits = Limites
limits-configured = Conforme a configuração
limits-own = Estes:
limits-none = Nenhum
limits-rate = Ritmo
limits-quota = Cota
limits-concurrent = Ao mesmo tempo
limits-hint = Um ritmo como 100/1s, ou 100/1s/200 com uma rajada; uma cota como 100000/month (hour, day, month). O que fica vazio não é limitado.
limit-rate = { $requests } a cada { $span }
limit-burst = (até { $n } de uma vez)
limit-quota = { $requests } por { $span }
per-hour = hora
per-day = dia
per-month = mês
limit-concurrent = { $count ->
    [one] { $n } requisição em andamento por vez
   *[other] { $n } requisições em andamento por vez
}

# Administradores
nav-admins = Administradores
admins-nav-keys = Administradores
admins-generate-key = Criar administrador
admins-key = Administrador
admins-key-identification = Nome
admins-keys-found = { $count ->
    [one] { $n } administrador
   *[other] { $n } administradores
}
admins-none-found = Nenhum administrador corresponde
admins-show-every-key = Mostrar todos os administradores
admins-search-label = Buscar por nome, id, permissão ou responsável
admins-pending-banner = { $count ->
    [one] { $n } administrador tem um token antigo à espera de exclusão.
   *[other] { $n } administradores têm um token antigo à espera de exclusão.
}
admins-about-key = Sobre este administrador
admins-roles = Permissões
admins-no-roles-more = Nenhuma: não pode ver nem fazer nada
admins-edit-key = Editar administrador
admins-delete-key = Excluir administrador
admins-key-generated = Administrador criado
admins-copy-lead = Entregue-o a { $name }. O token antigo continua funcionando.
admins-copy-lead-new = Entregue-o a { $name }. É a única forma de entrar como este administrador.
admins-name-hint = Um nome de 1 a 120 caracteres que nenhum outro administrador tenha; sem / \ ? # % e sem caracteres de controle. Ele consta na auditoria.
admins-next-after = O token antigo é excluído no prazo se até lá o novo tiver sido usado. Se não, ele fica, e a renovação é retida.
admins-delete-lead = Todos os tokens de { $name } são recusados a partir de agora, e o nome fica livre. O que foi feito com ele permanece na auditoria.
admins-deactivate-lead = Enquanto { $name } estiver inativo, toda chamada com seus tokens é recusada, e suas sessões terminam. Os tokens ficam e voltam a funcionar quando ele estiver ativo.
admins-activate-lead = A partir de agora os tokens de { $name } são aceitos de novo.
admins-done-activated = O administrador está ativo.
admins-done-deactivated = O administrador está inativo.
admins-done-deleted = O administrador foi excluído.
admins-active = Ativo
admins-inactive = Inativo
admins-to-key = Ir para o administrador
admins-to-keys = Ir para os administradores
admins-trouble-version-mismatch-title = O administrador mudou nesse meio-tempo
admins-trouble-version-mismatch-advice = Alguém foi mais rápido. Nada foi feito. Olhe de novo e decida.
admins-trouble-name-taken-advice = Outro administrador tem esse nome. Escolha outro.
limited-to = Limitado ao papel
limited-to-hint = Só vê e altera chaves com este papel. Vazio: todas as chaves.
permissions-hint = Ninguém concede o que não tem: o que você não pode fazer não aparece na lista.
permission-keys-read = Ver chaves, configurações e estado
permission-keys-write = Criar, editar, ativar, desativar e excluir chaves
permission-keys-renew = Renovar tokens, excluir os antigos, desfazer
permission-settings-write = Alterar configurações, recarregar
permission-audit-read = Ler a auditoria
permission-metrics-read = Ler as métricas
permission-admins-write = Criar, editar, renovar e excluir administradores
