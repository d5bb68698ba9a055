/** The configuration of a deployment: resolved or restored, pinned, and compared with what is live. */
import type { Deployment } from '../../../generated/prisma/client.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'
import {
  openValue,
  type Resolution,
  type Revision,
  resolveServices,
  type Variable,
  warningsOf,
} from '../../configuration/resolution/index.ts'
import { versionIdentity } from '../../configuration/secret/index.ts'
import {
  deploymentKeys,
  openValues,
  type PinnableEntry,
  type PinnedConfiguration,
  type PinnedEntry,
  pinConfiguration,
  pinnedConfiguration,
} from '../instance/index.ts'
import type { PlanChange } from './model.ts'

type Reading = { app: App; tx: Tx }

/** What a deployment would be given. */
export type Configuration = { variables: PinnableEntry[]; warnings: string[]; unresolved: Resolution['unresolved'] }

/** As it is now. What each instance gets for itself is no part of it. */
export async function presentConfiguration(read: Reading, webServiceId: string, revision?: Revision): Promise<Configuration> {
  const resolution = await resolved(read, webServiceId, revision)
  return { variables: givenBy(resolution), warnings: warningsOf(resolution), unresolved: resolution.unresolved }
}

async function resolved(read: Reading, webServiceId: string, revision?: Revision): Promise<Resolution> {
  const revisions = revision ? new Map([[webServiceId, revision]]) : undefined
  return (await resolveServices(read, [webServiceId], revisions)).get(webServiceId)!
}

const givenBy = ({ variables }: Resolution): Variable[] => variables.filter(({ isReserved }) => !isReserved)

/** What became of the secret versions that a snapshot names: gone ones are absent. */
type VersionState = {
  secretId: string
  version: number
  isRevoked: boolean
  current: PinnableEntry['value'] | null
  currentVersion: number
  fingerprint: string
}

/**
 * As a former deployment had it. A secret version that was revoked or deleted since is replaced by the present value, with a warning;
 * where there is none it is left out, or stays unresolved under STRICT. What became secret since is secret. Quayside's own variables
 * are those of now.
 */
export async function restoredConfiguration(read: Reading, target: Deployment, revision: Revision): Promise<Configuration> {
  const now = await resolved(read, target.webServiceId, revision)
  const pinned = await pinnedConfiguration(read, target.id)
  if (!pinned) {
    const warning = 'The configuration of that deployment is no longer stored. The current configuration is used instead.'
    return { variables: givenBy(now), warnings: [warning, ...warningsOf(now)], unresolved: now.unresolved }
  }
  const versions = await versionStates(read.tx, pinned.entries)
  const variables: PinnableEntry[] = []
  const warnings: string[] = []
  const unresolved: Resolution['unresolved'] = []
  for (const former of pinned.entries) {
    if (former.source.kind === 'PLATFORM_DEFAULT') continue
    const entry = { ...former, isSecret: pinned.secretKeys.has(former.key) }
    const state = entry.source.kind === 'SECRET_BINDING' ? versions.get(versionName(entry.source)) : null
    if (state === null || (state && !state.isRevoked)) {
      variables.push({ ...entry, value: { plain: pinned.values[entry.key]! } })
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
  const defaults = givenBy(now).filter(({ key, source }) => source.kind === 'PLATFORM_DEFAULT' && !restored.has(key))
  return { variables: [...variables, ...defaults].sort(byKey), warnings, unresolved }
}

const versionName = ({ id, version }: { id: string | null; version: number | null }) => `${id}:${version}`
const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

/** The same secret's current version; else what its key resolves to now. */
function replacementFor(entry: PinnedEntry, state: VersionState | undefined, now: Resolution): PinnableEntry | null {
  if (state?.current) {
    return { ...entry, fingerprint: state.fingerprint, source: { ...entry.source, version: state.currentVersion }, value: state.current }
  }
  return now.variables.find(({ key, source }) => key === entry.key && source.kind === 'SECRET_BINDING') ?? null
}

async function versionStates(tx: Tx, entries: readonly PinnedEntry[]): Promise<Map<string, VersionState>> {
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

/** Of what `execve` takes for arguments and environment together. */
const maxEnvironmentBytes = 1024 * 1024

/** Why a program can't be given so much; null when it can. */
export function sizeProblem(values: Record<string, string>): string | null {
  const bytes = Object.entries(values).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2, 0)
  return bytes > maxEnvironmentBytes
    ? `The variables have ${bytes} bytes in total, which exceeds the limit of ${maxEnvironmentBytes} bytes.`
    : null
}

/** Pins what a deployment gets. Gives why it can't be: names of what has no value, or its size. */
export async function pin(work: Work, deployment: Deployment, { variables, warnings, unresolved }: Configuration): Promise<string | null> {
  if (unresolved.length > 0) return unresolved.map(({ message }) => message).join(' ')
  const values = await openValues(work, deployment.organizationId, variables)
  const problem = sizeProblem(values)
  if (!problem) await pinConfiguration(work, deployment, variables, values, warnings)
  return problem
}

/**
 * The differences in variables between what is live and what would be: plain values as they are, others by fingerprint. A value that
 * is or was secret on either side is plain on neither.
 */
export async function variableChanges(
  read: Reading,
  organizationId: string,
  current: PinnedConfiguration | null,
  next: readonly PinnableEntry[],
): Promise<PlanChange[]> {
  const counted = <Entry extends PinnedEntry>(entries: readonly Entry[]) =>
    new Map(entries.filter(({ key }) => !deploymentKeys.has(key)).map((entry) => [entry.key, entry]))
  const [before, after] = [counted(current?.entries ?? []), counted(next)]
  const isHidden = (key: string) => current?.secretKeys.has(key) || after.get(key)?.isSecret
  const from = ({ key, fingerprint }: PinnedEntry) => (isHidden(key) ? fingerprint : current!.values[key]!)
  const to = ({ key, fingerprint, value }: PinnableEntry) => (isHidden(key) ? fingerprint : openValue(read, organizationId, value))
  const changes: PlanChange[] = []
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, fresh] = [before.get(key), after.get(key)]
    if (!old) changes.push({ kind: 'VARIABLE_ADDED', key, from: null, to: await to(fresh!) })
    else if (!fresh) changes.push({ kind: 'VARIABLE_REMOVED', key, from: from(old), to: null })
    else if (differs(old, fresh)) changes.push({ kind: 'VARIABLE_CHANGED', key, from: from(old), to: await to(fresh) })
  }
  return changes
}

type Compared = Pick<PinnedEntry, 'fingerprint' | 'isSecret' | 'buildTime' | 'runTime'>

const differs = (a: Compared, b: Compared) =>
  a.fingerprint !== b.fingerprint || a.isSecret !== b.isSecret || a.buildTime !== b.buildTime || a.runTime !== b.runTime

/** Whether a variable is another one than the live deployment has; never where nothing is live. */
export function isChangedSince(live: readonly PinnedEntry[] | null, variable: Compared & Pick<Variable, 'key' | 'isReserved'>): boolean {
  if (live === null || variable.isReserved || deploymentKeys.has(variable.key)) return false
  const old = live.find(({ key }) => key === variable.key)
  return !old || differs(old, variable)
}

/** Whether the next deployment would change a variable. */
export function isPending(live: readonly PinnedEntry[] | null, resolution: Resolution): boolean {
  if (live === null) return false
  const next = givenBy(resolution)
  const keys = new Set(next.map(({ key }) => key))
  return next.some((variable) => isChangedSince(live, variable)) || live.some(({ key }) => !keys.has(key) && !deploymentKeys.has(key))
}
