/** Configuration: which value takes precedence and why, what the next deployment would change, and who can see a secret. */
import { createHash } from 'node:crypto'
import { call } from './client.ts'
import { ensure } from './report.ts'
import { type Chapter, deploy, liveEndOf, type Stage, until, verified } from './stage.ts'

/** Values that must not leak. */
const stagingUrl = 'postgresql://staging:s3cr3t-of-staging@db.example.com/app'
const productionUrl = 'postgresql://live:s3cr3t-of-production@db.example.com/app'
const sharedToken = 'token-from-the-project-6b1f'
const ownToken = 'token-of-the-service-9c02'

/** The start command prints a secret, like a careless app. */
const talkative = 'echo "connecting to $DATABASE_URL" && exec node server.js'

export const chapter: Chapter = {
  about: 'fallback by scope, shadowing, plan, a deployed app, reveal, a redacted log line',
  parts: (stage) => [
    { name: 'Fallback by scope', show: () => fallBack(stage) },
    { name: 'Own variable overrides', show: () => shadow(stage) },
    { name: 'Plan, then deploy', show: () => planAndDeploy(stage) },
    { name: 'Value in own scope', show: () => replaceFallback(stage) },
    { name: 'Reveal', show: () => reveal(stage) },
    { name: 'Log line redacted', show: () => readLog(stage) },
  ],
}

type Variable = {
  key: string
  value: string | null
  maskedValue: string
  isFallback: boolean
  requestedScope: string
  source: { kind: string; scope: string | null }
  shadowed: { reason: string; source: { kind: string } }[]
  warnings: string[]
}

/** The variables that the service would get now, by key. The response must not contain a secret's value. */
async function resolved({ client, service, report }: Stage): Promise<Map<string, Variable>> {
  const { webService } = await client.ask<{ webService: { resolvedEnv: Variable[] } }>(
    `query ($id: ID!) { webService(id: $id) { resolvedEnv {
      key value maskedValue isFallback requestedScope source { kind scope } shadowed { reason source { kind } } warnings
    } } }`,
    { id: service.id },
  )
  const text = JSON.stringify(webService)
  ensure(![stagingUrl, productionUrl, sharedToken, ownToken].some((value) => text.includes(value)), 'resolvedEnv shows a secret.')
  for (const { key, maskedValue, source, isFallback, shadowed, warnings } of webService.resolvedEnv) {
    if (source.kind === 'PLATFORM_DEFAULT') continue
    const from = `${source.kind}${source.scope ? ` ${source.scope}` : ''}${isFallback ? ', fallback' : ''}`
    report.say(
      `  ${key} = ${maskedValue} from ${from}${shadowed.map(({ source: { kind }, reason }) => `; shadows ${kind} (${reason})`).join('')}`,
    )
    for (const warning of warnings) report.say(`    warning: ${warning}`)
  }
  return new Map(webService.resolvedEnv.map((variable) => [variable.key, variable]))
}

const createSecret = async ({ client, projectId }: Stage, key: string, scope: string, value: string): Promise<string> => {
  const { createSecret } = await client.ask<{ createSecret: { secret: { id: string } } }>(
    'mutation ($input: CreateSecretInput!) { createSecret(input: $input) { secret { id } } }',
    { input: { projectId, key, scope, value } },
  )
  return createSecret.secret.id
}

const bindSecret = ({ client, service }: Stage, secretId: string) =>
  client.ask('mutation ($input: BindSecretInput!) { bindSecret(input: $input) { secretBinding { alias } } }', {
    input: { webServiceId: service.id, secretId },
  })

/** A production service is bound to a secret that only has a value for staging. */
async function fallBack(stage: Stage): Promise<string> {
  await bindSecret(stage, await createSecret(stage, 'DATABASE_URL', 'STAGING', stagingUrl))
  await bindSecret(stage, await createSecret(stage, 'API_TOKEN', 'PRODUCTION', sharedToken))
  const variables = await resolved(stage)
  const url = variables.get('DATABASE_URL')
  ensure(url?.isFallback === true && url.source.scope === 'STAGING', 'DATABASE_URL does not fall back to STAGING.')
  ensure(url.warnings.length > 0, 'The fallback has no warning.')
  ensure(variables.get('API_TOKEN')?.isFallback === false, 'API_TOKEN falls back.')
  return `${url.requestedScope} asks, ${url.source.scope} answers, with a warning`
}

async function shadow(stage: Stage): Promise<string> {
  await stage.client.ask('mutation ($input: SetEnvVarsInput!) { setEnvVars(input: $input) { envVars { key } } }', {
    input: {
      webServiceId: stage.service.id,
      variables: [
        { key: 'API_TOKEN', value: ownToken, isSecret: true },
        { key: 'GREETING', value: 'hello' },
      ],
    },
  })
  const token = (await resolved(stage)).get('API_TOKEN')
  ensure(token?.source.kind === 'ENV_VAR', `API_TOKEN comes from ${token?.source.kind}.`)
  ensure(token.shadowed[0]?.source.kind === 'SECRET_BINDING', 'The binding is not listed as shadowed.')
  return `${token.source.kind} before ${token.shadowed[0].source.kind}`
}

async function planAndDeploy(stage: Stage): Promise<string> {
  await stage.client.ask(
    'mutation ($id: ID!, $command: String!) { updateWebService(input: { id: $id, startCommand: $command }) { webService { id } } }',
    { id: stage.service.id, command: talkative },
  )
  const planned = await plan(stage)
  const added = planned.filter(({ kind }) => kind === 'VARIABLE_ADDED').map(({ key }) => key)
  ensure(
    ['API_TOKEN', 'DATABASE_URL', 'GREETING'].every((key) => added.includes(key)),
    `The plan adds ${added.join(', ') || 'nothing'}.`,
  )
  await liveEndOf(stage, await deploy(stage))
  await holdInjected(stage, { DATABASE_URL: stagingUrl, API_TOKEN: ownToken, GREETING: 'hello' })
  ensure(!(await isPending(stage)), 'The service says that its configuration is not live.')
  return '3 variables in the app are the 3 that were resolved (by SHA-256)'
}

type Change = { kind: string; key: string; from: string | null; to: string | null }

async function plan({ client, service, report }: Stage): Promise<Change[]> {
  const { deployPlan } = await client.ask<{ deployPlan: { changes: Change[] } }>(
    'query ($id: ID!) { deployPlan(webServiceId: $id) { changes { kind key from to } } }',
    { id: service.id },
  )
  for (const { kind, key, from, to } of deployPlan.changes) report.say(`  plan: ${kind} ${key} ${from ?? ''} -> ${to ?? ''}`)
  const text = JSON.stringify(deployPlan)
  ensure(!text.includes('s3cr3t') && !text.includes('token-'), 'The plan shows a secret.')
  return deployPlan.changes
}

/** The app responds with hashes of its environment. */
async function holdInjected({ service }: Stage, wanted: Record<string, string>): Promise<void> {
  const { body } = await call(service.url, '/env-hash')
  const hashes: Record<string, string> = JSON.parse(body)
  const wrong = Object.entries(wanted).filter(([key, value]) => hashes[key] !== createHash('sha256').update(value).digest('hex'))
  ensure(wrong.length === 0, `The app received a different value of ${wrong.map(([key]) => key).join(', ')}.`)
}

async function isPending({ client, service }: Stage): Promise<boolean> {
  const { webService } = await client.ask<{ webService: { pendingConfig: boolean } }>(
    'query ($id: ID!) { webService(id: $id) { pendingConfig } }',
    { id: service.id },
  )
  return webService.pendingConfig
}

/** Production gets its own value: the deploy plan shows the change, and the next deployment applies it. */
async function replaceFallback(stage: Stage): Promise<string> {
  await createSecret(stage, 'DATABASE_URL', 'PRODUCTION', productionUrl)
  ensure(await isPending(stage), 'The service does not say that its configuration changed.')
  const planned = await plan(stage)
  const changed = planned.filter(({ kind }) => kind === 'VARIABLE_CHANGED').map(({ key }) => key)
  ensure(changed.length === 1 && changed[0] === 'DATABASE_URL', `The plan changes ${changed.join(', ') || 'nothing'}.`)
  await liveEndOf(stage, await deploy(stage))
  await holdInjected(stage, { DATABASE_URL: productionUrl, API_TOKEN: ownToken })
  return 'planned by fingerprint, live after a deploy'
}

async function reveal(stage: Stage): Promise<string> {
  const { client, report, receiver, secret } = stage
  const id = await createSecret(stage, 'LICENSE', 'PRODUCTION', sharedToken)
  const { revealSecret } = await client.ask<{ revealSecret: { key: string; value: string } }>(
    'mutation ($id: ID!) { revealSecret(input: { id: $id }) { key value } }',
    { id },
  )
  ensure(revealSecret.value === sharedToken, 'A different value was revealed.')
  const { secret: shown } = await client.ask<{
    secret: { value: string | null; lastRevealedAt: string | null; lastRevealedBy: string | null }
  }>('query ($id: ID!) { secret(id: $id) { value lastRevealedAt lastRevealedBy } }', { id })
  ensure(shown.value === null, 'A read shows the value.')
  ensure(shown.lastRevealedAt !== null && shown.lastRevealedBy !== null, 'The secret does not record who revealed it.')
  const event = () => receiver.requests.map((request) => verified(request, secret)).find(({ type }) => type === 'secret.revealed')
  await until('the webhook secret.revealed', async () => event() !== undefined)
  ensure(!receiver.requests.some(({ body }) => body.includes(sharedToken)), 'A webhook contains a secret.')
  report.say(`  secret.revealed ${JSON.stringify(event()?.data)}`)
  return `revealed by ${shown.lastRevealedBy}, reported by webhook`
}

async function readLog({ client, service, report }: Stage): Promise<string> {
  const lines = async () => {
    const { webService } = await client.ask<{ webService: { logs: { lines: { message: string }[] } } }>(
      'query ($id: ID!) { webService(id: $id) { logs(tail: 200) { lines { message } } } }',
      { id: service.id },
    )
    return webService.logs.lines.map(({ message }) => message).filter((message) => message.startsWith('connecting to'))
  }
  await until('a log line of each deployment', async () => (await lines()).length >= 2)
  const found = await lines()
  for (const message of found) report.say(`  ${message}`)
  ensure(!found.some((message) => message.includes('s3cr3t')), 'The log contains a secret.')
  return `${found.length} lines, no secret in them`
}
