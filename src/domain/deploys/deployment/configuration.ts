/** The configuration of a deployment: resolved from the current variables, or restored from the snapshot of an earlier deployment. */
import type { Deployment } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'
import { type Resolution, type Revision, resolveServices, type Variable, warningsOf } from '../../configuration/resolution/index.ts'
import { versionIdentity } from '../../configuration/secret/index.ts'
import { openValues, readSnapshot, type SnapshotEntry, saveSnapshot, type UnopenedEntry } from '../instance/index.ts'

export type Reading = { app: App; tx: Tx }

/** Variables that a deployment would get. */
export type Configuration = { variables: UnopenedEntry[]; warnings: string[]; unresolved: Resolution['unresolved'] }

/** The current configuration. Reserved variables, which each instance gets for itself, are not part of it. */
export async function currentConfiguration(read: Reading, webServiceId: string, revision?: Revision): Promise<Configuration> {
  const resolution = await resolved(read, webServiceId, revision)
  return { variables: deployedVariables(resolution), warnings: warningsOf(resolution), unresolved: resolution.unresolved }
}

async function resolved(read: Reading, webServiceId: string, revision?: Revision): Promise<Resolution> {
  const revisions = revision ? new Map([[webServiceId, revision]]) : undefined
  return (await resolveServices(read, [webServiceId], revisions)).get(webServiceId)!
}

export const deployedVariables = ({ variables }: Resolution): Variable[] => variables.filter(({ isReserved }) => !isReserved)

/** State of the secret versions that a snapshot refers to. Deleted ones are absent. */
type VersionState = {
  secretId: string
  version: number
  isRevoked: boolean
  current: UnopenedEntry['value'] | null
  currentVersion: number
  fingerprint: string
}

/**
 * The configuration of an earlier deployment. A secret version that has been revoked or deleted since is replaced by the current value,
 * with a warning, as is the value of a connected resource that has changed. If there is no current value, the variable is omitted, or stays
 * unresolved under STRICT. A variable that has become
 * secret since is secret. Platform defaults are the current ones.
 */
export async function restoredConfiguration(
  read: Reading,
  target: Pick<Deployment, 'id' | 'webServiceId'>,
  revision: Revision,
): Promise<Configuration> {
  const now = await resolved(read, target.webServiceId, revision)
  const snapshot = await readSnapshot(read, target.id)
  if (!snapshot) {
    const warning = 'The configuration of that deployment is no longer stored. The current configuration is used instead.'
    return { variables: deployedVariables(now), warnings: [warning, ...warningsOf(now)], unresolved: now.unresolved }
  }
  const versions = await versionStates(read.tx, snapshot.entries)
  const variables: UnopenedEntry[] = []
  const warnings: string[] = []
  const unresolved: Resolution['unresolved'] = []
  for (const former of snapshot.entries) {
    if (former.source.kind === 'PLATFORM_DEFAULT') continue
    const entry = { ...former, isSecret: snapshot.secretKeys.has(former.key) }
    if (entry.source.kind === 'RESOURCE_CONNECTION') {
      const { variable, warning } = restoredConnection(entry, snapshot.values[entry.key]!, now)
      if (variable) variables.push(variable)
      if (warning) warnings.push(warning)
      continue
    }
    const state = entry.source.kind === 'SECRET_BINDING' ? versions.get(versionName(entry.source)) : null
    if (state === null || (state && !state.isRevoked)) {
      variables.push({ ...entry, value: { plain: snapshot.values[entry.key]! } })
      continue
    }
    const what = `${entry.key}: version ${entry.source.version} of its secret was ${state ? 'revoked' : 'deleted'}`
    const replacement = replacementFor(entry, state, now)
    if (replacement) {
      variables.push(replacement)
      warnings.push(`${what}. Its current value is used instead.`)
      continue
    }
    const strict = now.unresolved.find(({ key }) => key === entry.key)
    if (strict) unresolved.push(strict)
    else warnings.push(`${what} and has no current value. The variable is omitted.`)
  }
  const restored = new Set(variables.map(({ key }) => key))
  const defaults = deployedVariables(now).filter(({ key, source }) => source.kind === 'PLATFORM_DEFAULT' && !restored.has(key))
  return { variables: [...variables, ...defaults].sort(byKey), warnings, unresolved }
}

const versionName = ({ id, version }: { id: string | null; version: number | null }) => `${id}:${version}`
const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

/** The value of a connection works only as long as its resource has the same address and password, so a changed one is replaced. */
function restoredConnection(entry: SnapshotEntry, value: string, now: Resolution): { variable?: UnopenedEntry; warning?: string } {
  const current = now.connections.find(({ key, source }) => key === entry.key && source.id === entry.source.id)
  if (!current) return { warning: `${entry.key}: its resource is no longer connected. The variable is omitted.` }
  if (current.fingerprint === entry.fingerprint) return { variable: { ...entry, value: { plain: value } } }
  const variable = { ...entry, fingerprint: current.fingerprint, source: current.source, value: current.value }
  return { variable, warning: `${entry.key}: the address or password of its resource has changed. The current value is used instead.` }
}

/** The current version of the same secret, or else what the key resolves to now. */
function replacementFor(entry: SnapshotEntry, state: VersionState | undefined, now: Resolution): UnopenedEntry | null {
  if (state?.current) {
    return { ...entry, fingerprint: state.fingerprint, source: { ...entry.source, version: state.currentVersion }, value: state.current }
  }
  return now.variables.find(({ key, source }) => key === entry.key && source.kind === 'SECRET_BINDING') ?? null
}

async function versionStates(tx: Tx, entries: readonly SnapshotEntry[]): Promise<Map<string, VersionState>> {
  const named = entries.flatMap(({ source }) => (source.kind === 'SECRET_BINDING' && source.id ? [source] : []))
  const found = await rows<{
    secretId: string
    version: number
    isRevoked: boolean
    currentVersion: number
    fingerprint: string
    currentIsRevoked: boolean
    currentId: string
    value: Uint8Array
  }>(
    tx,
    sql`select v.secret_id, v.version, v.revoked_at is not null as is_revoked, s.current_version, c.fingerprint,
               c.revoked_at is not null as current_is_revoked, c.id as current_id, c.value
        from unnest(${named.map(({ id }) => id)}::uuid[], ${named.map(({ version }) => version)}::int[]) as n(id, version)
        join secret_version v on v.secret_id = n.id and v.version = n.version
        join secret s on s.id = v.secret_id join secret_version c on c.secret_id = s.id and c.version = s.current_version`,
  )
  return new Map(
    found.map((item) => {
      const current = item.currentIsRevoked ? null : { identity: versionIdentity(item.currentId), sealed: item.value }
      return [versionName({ id: item.secretId, version: item.version }), { ...item, current }]
    }),
  )
}

/** Part of the limit of `execve`, which applies to arguments and environment together. */
const maxEnvironmentBytes = 1024 * 1024

/** Why variables are too large for the environment of a process; null if they are not. */
export function sizeProblem(values: Record<string, string>): string | null {
  const bytes = Object.entries(values).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2, 0)
  return bytes > maxEnvironmentBytes
    ? `The variables have ${bytes} bytes in total, which exceeds the limit of ${maxEnvironmentBytes} bytes.`
    : null
}

/** Stores a configuration as the snapshot of a deployment. Returns null, or the reason why it cannot be deployed. */
export async function saveConfiguration(
  work: Work,
  deployment: Deployment,
  { variables, warnings, unresolved }: Configuration,
): Promise<string | null> {
  if (unresolved.length > 0) return unresolved.map(({ message }) => message).join(' ')
  const values = await openValues(work, deployment.organizationId, variables)
  const problem = sizeProblem(values)
  if (!problem) await saveSnapshot(work, deployment, variables, values, warnings)
  return problem
}
