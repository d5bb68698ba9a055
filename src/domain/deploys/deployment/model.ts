/** A deployment's states, and which may follow which; the queue's rules; what counts against a rollback. All pure. */
import type { Deployment, DeploymentFailureCode, DeploymentPhase, DeploymentStatus, QueuePolicy } from '../../../generated/prisma/client.ts'
import type { ServiceSettings } from '../../apps/web-service/index.ts'
import { activeStatuses } from '../instance/index.ts'

export const phases: readonly DeploymentPhase[] = ['PREPARE', 'BUILD', 'RELEASE', 'START', 'VERIFY', 'SWITCH']

export const deploymentStatuses = [
  'QUEUED',
  'RUNNING',
  'CANCELLING',
  'LIVE',
  'SUPERSEDED',
  'FAILED',
  'CANCELLED',
  'SKIPPED',
] as const satisfies readonly DeploymentStatus[]

/** The only ways a deployment can go; the database refuses what its indexes and checks can say of it. */
export const transitions: Record<DeploymentStatus, readonly DeploymentStatus[]> = {
  QUEUED: ['RUNNING', 'CANCELLED', 'SKIPPED'],
  RUNNING: ['LIVE', 'FAILED', 'CANCELLING'],
  CANCELLING: ['CANCELLED', 'FAILED'],
  LIVE: ['SUPERSEDED'],
  SUPERSEDED: [],
  FAILED: [],
  CANCELLED: [],
  SKIPPED: [],
}

/** Cancel works up to and including VERIFY; then traffic moves, and going back is a rollback. */
export const isCancellable = (deployment: Pick<Deployment, 'status' | 'phase'>): boolean =>
  deployment.status === 'QUEUED' || (deployment.status === 'RUNNING' && deployment.phase !== 'SWITCH')

export type Waiting = Pick<Deployment, 'id' | 'status' | 'kind' | 'phase'>

/**
 * What becomes of a new deployment beside those that have not ended (oldest first): refused because of one, or queued, with some
 * displaced. With nothing running, the oldest queued one is about to run and waits for nothing. A rollback waits for nothing but a
 * switch, whatever the policy: what waits is displaced, what runs is cancelled; and nothing displaces it but another one.
 */
export function enqueue(
  policy: QueuePolicy,
  kind: Deployment['kind'],
  unfinished: readonly Waiting[],
): { blockedBy: string } | { displaced: string[]; cancelled: string[] } {
  const cancelled: string[] = []
  if (kind === 'ROLLBACK') {
    return {
      displaced: unfinished.filter(({ status }) => status === 'QUEUED').map(({ id }) => id),
      cancelled: unfinished.filter((deployment) => deployment.status === 'RUNNING' && isCancellable(deployment)).map(({ id }) => id),
    }
  }
  if (policy === 'REJECT' && unfinished[0]) return { blockedBy: unfinished[0].id }
  if (policy !== 'QUEUE_LATEST') return { displaced: [], cancelled }
  const queued = unfinished.filter((deployment) => deployment.status === 'QUEUED')
  const waiting = unfinished.some((deployment) => activeStatuses.has(deployment.status)) ? queued : queued.slice(1)
  return { displaced: waiting.filter((deployment) => deployment.kind !== 'ROLLBACK').map(({ id }) => id), cancelled }
}

export type PlanChange = {
  kind: 'COMMIT' | 'SETTING' | 'VARIABLE_ADDED' | 'VARIABLE_REMOVED' | 'VARIABLE_CHANGED'
  key: string
  from: string | null
  to: string | null
}

const shown = (value: unknown) => (value === null || value === undefined ? null : String(value))

/** What would be different: the commit, and each setting. */
export function changesBetween(
  current: { commitHash: string | null; settings: ServiceSettings | null } | null,
  next: { commitHash: string | null; settings: ServiceSettings | null },
): PlanChange[] {
  const changes: PlanChange[] = []
  if (current?.commitHash !== next.commitHash) {
    changes.push({ kind: 'COMMIT', key: 'commit', from: current?.commitHash ?? null, to: next.commitHash })
  }
  const [before, after] = [current?.settings, next.settings]
  if (!after) return changes
  for (const key of Object.keys(after).sort() as (keyof ServiceSettings)[]) {
    const [from, to] = [shown(before?.[key]), shown(after[key])]
    if (from !== to) changes.push({ kind: 'SETTING', key, from, to })
  }
  return changes
}

export type BlockerCode = 'NEVER_LIVE' | 'ALREADY_LIVE' | 'ARTIFACT_EXPIRED' | 'SERVICE_DELETED' | 'CONFIG_UNRESOLVED'

const blockerTexts: Record<BlockerCode, string> = {
  NEVER_LIVE: 'This deployment never went live, so it cannot be rolled back to.',
  ALREADY_LIVE: 'This deployment is already live.',
  ARTIFACT_EXPIRED: 'The release of this deployment is no longer stored. Deploy its commit again.',
  SERVICE_DELETED: 'The service was deleted.',
  CONFIG_UNRESOLVED: 'The configuration of this deployment cannot be resolved.',
}

export type RollbackFacts = Pick<Deployment, 'status' | 'liveAt'> & {
  hasRelease: boolean
  serviceDeleted: boolean
  /** The wanted configuration lacks something that it must have. */
  configUnresolved?: boolean
}

/** Why a deployment can't be gone back to; empty when it can. */
export function rollbackBlockers(target: RollbackFacts): { code: BlockerCode; message: string }[] {
  const codes: BlockerCode[] = []
  if (target.serviceDeleted) codes.push('SERVICE_DELETED')
  if (target.liveAt === null) codes.push('NEVER_LIVE')
  else if (target.status === 'LIVE') codes.push('ALREADY_LIVE')
  else if (!target.hasRelease) codes.push('ARTIFACT_EXPIRED')
  if (target.configUnresolved) codes.push('CONFIG_UNRESOLVED')
  return codes.map((code) => ({ code, message: blockerTexts[code] }))
}

/** Why a step failed, in the words that a person is shown. */
export type Failure = { code: DeploymentFailureCode; message: string; hint: string | null; exitCode: number | null }
