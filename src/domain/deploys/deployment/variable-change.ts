/** Differences in variables between the live deployment and the next one. */
import { openValue, type Resolution, type Variable } from '../../configuration/resolution/index.ts'
import { deploymentKeys, type Snapshot, type SnapshotEntry, type UnopenedEntry } from '../instance/index.ts'
import { deployedVariables, type Reading } from './configuration.ts'
import type { PlanChange } from './model.ts'

/** Changes from the live snapshot to `next`, sorted by key. A value that is secret on either side is shown as a fingerprint on both. */
export async function variableChanges(
  read: Reading,
  organizationId: string,
  current: Snapshot | null,
  next: readonly UnopenedEntry[],
): Promise<PlanChange[]> {
  const counted = <Entry extends SnapshotEntry>(entries: readonly Entry[]) =>
    new Map(entries.filter(({ key }) => !deploymentKeys.has(key)).map((entry) => [entry.key, entry]))
  const [before, after] = [counted(current?.entries ?? []), counted(next)]
  const isHidden = (key: string) => current?.secretKeys.has(key) || after.get(key)?.isSecret
  const from = ({ key, fingerprint }: SnapshotEntry) => (isHidden(key) ? fingerprint : current!.values[key]!)
  const to = ({ key, fingerprint, value }: UnopenedEntry) => (isHidden(key) ? fingerprint : openValue(read, organizationId, value))
  const changes: PlanChange[] = []
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, fresh] = [before.get(key), after.get(key)]
    if (!old) changes.push({ kind: 'VARIABLE_ADDED', key, from: null, to: await to(fresh!) })
    else if (!fresh) changes.push({ kind: 'VARIABLE_REMOVED', key, from: from(old), to: null })
    else if (differs(old, fresh)) changes.push({ kind: 'VARIABLE_CHANGED', key, from: from(old), to: await to(fresh) })
  }
  return changes
}

type Compared = Pick<SnapshotEntry, 'fingerprint' | 'isSecret' | 'buildTime' | 'runTime'>

const differs = (a: Compared, b: Compared) =>
  a.fingerprint !== b.fingerprint || a.isSecret !== b.isSecret || a.buildTime !== b.buildTime || a.runTime !== b.runTime

/** Whether a variable differs from the live deployment; false if none is live. */
export function isChangedSince(live: readonly SnapshotEntry[] | null, variable: Compared & Pick<Variable, 'key' | 'isReserved'>): boolean {
  if (live === null || variable.isReserved || deploymentKeys.has(variable.key)) return false
  const old = live.find(({ key }) => key === variable.key)
  return !old || differs(old, variable)
}

/** Whether the next deployment would change a variable; false if no deployment is live. */
export function isPending(live: readonly SnapshotEntry[] | null, resolution: Resolution): boolean {
  if (live === null) return false
  const next = deployedVariables(resolution)
  const keys = new Set(next.map(({ key }) => key))
  return next.some((variable) => isChangedSince(live, variable)) || live.some(({ key }) => !keys.has(key) && !deploymentKeys.has(key))
}
