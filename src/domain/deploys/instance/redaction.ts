/** Redaction of secret values in what the instances of a deployment print, and the counts of redactions. */
import { rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { createRedactor, type Hits, type Redact, type SecretValue } from '../log/index.ts'
import { platformCredentials } from './platform-credential.ts'
import { readSnapshot, type Snapshot } from './snapshot.ts'

/** Values that must not appear in the logs of a deployment. Of a URL with a password, such as that of a database, also the password alone. */
export const secretValuesOf = ({ secretKeys, values }: Snapshot): SecretValue[] =>
  [...secretKeys].flatMap((key) => {
    const value = values[key]!
    const { password = '' } = URL.parse(value) ?? {}
    return [...new Set([value, password, decodedOrEmpty(password)])].map((part) => ({ key, value: part }))
  })

function decodedOrEmpty(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

type CachedRedactor = { redactor: Promise<Redact>; expiresAtMs: number }

const maxCachedRedactors = 200
/** An upper bound in case a wake-up is lost. */
const redactorMaxAgeMs = 60_000

/** Wake-up after a change by which a variable of a running deployment may have become secret. */
export const secrecyTopic = 'variables'

const cacheOf = perApp((app) => {
  const cache = new Map<string, CachedRedactor>()
  app.wake.on(secrecyTopic, () => cache.clear())
  return cache
})

/** The current redactor for the output of a deployment's instances. Call it again for each batch: it changes when a variable becomes secret. */
export function redactorOf(app: App, deploymentId: string): Promise<Redact> {
  const cache = cacheOf(app)
  const now = app.clock.elapsedMs()
  const cached = cache.get(deploymentId)
  if (cached && cached.expiresAtMs > now) return cached.redactor
  const redactor = readSnapshot({ app, tx: app.db }, deploymentId).then((snapshot) =>
    createRedactor([...(snapshot ? secretValuesOf(snapshot) : []), ...platformCredentials(app)]),
  )
  redactor.catch(() => cache.delete(deploymentId))
  cache.set(deploymentId, { redactor, expiresAtMs: now + redactorMaxAgeMs })
  const oldest = cache.size > maxCachedRedactors ? cache.keys().next().value : undefined
  if (oldest !== undefined) cache.delete(oldest)
  return redactor
}

/** Adds to the number of redactions in a deployment's logs. */
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

/** Redactions in the logs of many deployments in one statement, sorted by key. */
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
