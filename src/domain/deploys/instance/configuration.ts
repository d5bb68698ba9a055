/**
 * The variables that one deployment was given, pinned: what they are is readable, their values are sealed. Instances are started with
 * them for as long as the deployment's release runs, whatever is changed, revoked or deleted meanwhile.
 */
import type { EnvironmentType } from '../../../generated/prisma/client.ts'
import { row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { defineSealedColumn } from '../../../platform/reseal.ts'
import type { App, Work } from '../../../platform/work.ts'
import { openValue, type Source, type ValueHandle } from '../../configuration/resolution/index.ts'
import { createRedactor, type Hits, type Redact, type SecretValue } from '../log/index.ts'

export type PinnedEntry = {
  key: string
  fingerprint: string
  isSecret: boolean
  source: Source
  alias: string | null
  isFallback: boolean
  requestedScope: EnvironmentType
  buildTime: boolean
  runTime: boolean
}

/** An entry with its value still behind a handle. */
export type PinnableEntry = PinnedEntry & { value: ValueHandle }

export type PinnedConfiguration = { entries: PinnedEntry[]; values: Record<string, string> }

const identity = (deploymentId: string) => `deployment_config:${deploymentId}:sealed`

defineSealedColumn({ table: 'deployment_config', key: 'deployment_id', column: 'sealed', identity })

/** Pins a deployment's variables; a second pinning replaces the first. Gives their size as an environment. */
export async function pinConfiguration(
  work: Work,
  deployment: { id: string; organizationId: string },
  variables: readonly PinnableEntry[],
  warnings: readonly string[],
): Promise<number> {
  const { organizationId } = deployment
  const values: Record<string, string> = Object.create(null)
  for (const { key, value } of variables) values[key] = await openValue(work, organizationId, value)
  const entries = variables.map(
    ({ key, fingerprint, isSecret, source, alias, isFallback, requestedScope, buildTime, runTime }): PinnedEntry => ({
      key,
      fingerprint,
      isSecret,
      source,
      alias,
      isFallback,
      requestedScope,
      buildTime,
      runTime,
    }),
  )
  const sealed = await work.app.keyring.seal(work.tx, organizationId, identity(deployment.id), JSON.stringify(values))
  await run(
    work.tx,
    sql`insert into deployment_config (deployment_id, organization_id, entries, sealed, warnings)
        values (${deployment.id}::uuid, ${organizationId}::uuid, ${JSON.stringify(entries)}::json, ${sealed}, ${[...warnings]}::text[])
        on conflict (deployment_id) do update set entries = excluded.entries, sealed = excluded.sealed, warnings = excluded.warnings`,
  )
  return Object.entries(values).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2, 0)
}

/** What a deployment was given; null for one that pinned nothing. */
export async function pinnedConfiguration({ app, tx }: { app: App; tx: Tx }, deploymentId: string): Promise<PinnedConfiguration | null> {
  const pinned = await row<{ organizationId: string; entries: PinnedEntry[]; sealed: Uint8Array }>(
    tx,
    sql`select organization_id, entries, sealed from deployment_config where deployment_id = ${deploymentId}::uuid`,
  )
  if (!pinned) return null
  const values = JSON.parse(await app.keyring.open(tx, pinned.organizationId, identity(deploymentId), pinned.sealed))
  return { entries: pinned.entries, values }
}

/** What the live deployments of many services were given, without values; null where none is live. */
export async function liveEntriesByService(tx: Tx, serviceIds: readonly string[]): Promise<(PinnedEntry[] | null)[]> {
  const found = await rows<{ webServiceId: string; entries: PinnedEntry[] | null }>(
    tx,
    sql`select d.web_service_id, c.entries from deployment d left join deployment_config c on c.deployment_id = d.id
        where d.web_service_id = any(${serviceIds}::uuid[]) and d.status = 'LIVE'`,
  )
  const byService = new Map(found.map((item) => [item.webServiceId, item.entries ?? []]))
  return serviceIds.map((id) => byService.get(id) ?? null)
}

/** The variables for one phase. */
export const environmentOf = ({ entries, values }: PinnedConfiguration, phase: 'buildTime' | 'runTime'): Record<string, string> =>
  Object.fromEntries(entries.filter((entry) => entry[phase]).map(({ key }) => [key, values[key]!]))

/** What must not be read in a log of this deployment. */
export const secretValuesOf = ({ entries, values }: PinnedConfiguration): SecretValue[] =>
  entries.filter(({ isSecret }) => isSecret).map(({ key }) => ({ key, value: values[key]! }))

/** Secrets of the installation itself, which nothing that is deployed should ever see, let alone print. */
export function platformCredentials({ settings }: App): SecretValue[] {
  const key = 'platform'
  const url = settings.DATABASE_URL?.reveal()
  const password = url && decodeURIComponent(new URL(url).password)
  const masterKeys = settings.MASTER_KEYS?.reveal().split(',') ?? []
  return [...masterKeys.map((text) => text.slice(text.indexOf(':') + 1).trim()), ...(password ? [password] : [])]
    .filter((value) => value.length >= 8)
    .map((value) => ({ key, value }))
}

const redactors = new WeakMap<App, Map<string, Promise<Redact>>>()
const keptRedactors = 200

/** The redactor of what a deployment's instances print. */
export function redactorOf(app: App, deploymentId: string): Promise<Redact> {
  const known = redactors.get(app) ?? new Map<string, Promise<Redact>>()
  redactors.set(app, known)
  let redactor = known.get(deploymentId)
  if (!redactor) {
    redactor = pinnedConfiguration({ app, tx: app.db.prisma }, deploymentId).then((pinned) =>
      createRedactor([...(pinned ? secretValuesOf(pinned) : []), ...platformCredentials(app)]),
    )
    redactor.catch(() => known.delete(deploymentId))
    known.set(deploymentId, redactor)
    const oldest = known.size > keptRedactors ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
  }
  return redactor
}

/** Adds to the count of values that were taken out of a deployment's logs. */
export async function countRedactions(tx: Tx, deploymentId: string, hits: Hits): Promise<void> {
  if (hits.size === 0) return
  await run(
    tx,
    sql`update deployment_config set redactions = (
          select jsonb_object_agg(t.key, t.n) from (
            select e.key, sum(e.value::bigint) as n
            from (select * from jsonb_each_text(redactions) union all select * from jsonb_each_text(${JSON.stringify(Object.fromEntries(hits))}::jsonb)) e
            group by e.key) t)
        where deployment_id = ${deploymentId}::uuid`,
  )
}

export type Redaction = { key: string; count: number }

/** The counts of many deployments in one statement, by key. */
export async function redactionsByDeployment(tx: Tx, deploymentIds: readonly string[]): Promise<Redaction[][]> {
  const found = await rows<{ deploymentId: string; redactions: Record<string, number> }>(
    tx,
    sql`select deployment_id, redactions from deployment_config where deployment_id = any(${deploymentIds}::uuid[])`,
  )
  const byDeployment = new Map(found.map((item) => [item.deploymentId, item.redactions]))
  return deploymentIds.map((id) =>
    Object.entries(byDeployment.get(id) ?? {})
      .map(([key, count]) => ({ key, count: Number(count) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  )
}
