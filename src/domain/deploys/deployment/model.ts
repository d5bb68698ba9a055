/** States of a deployment and their transitions, the rules of the queue, and the reasons that block a rollback. All pure. */
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

/** Allowed transitions. The database enforces those that its indexes and checks can express. */
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

/** A deployment can be cancelled until SWITCH moves traffic to it. After that, it takes a rollback to undo it. */
export const isCancellable = (deployment: Pick<Deployment, 'status' | 'phase'>): boolean =>
  deployment.status === 'QUEUED' || (deployment.status === 'RUNNING' && deployment.phase !== 'SWITCH')

export type Waiting = Pick<Deployment, 'id' | 'status' | 'kind' | 'phase'>

/**
 * Decides whether a new deployment is blocked by an unfinished one or queued, and which unfinished ones (oldest first) are displaced or
 * cancelled for it. If none is running, the oldest queued one is about to start and is not displaced. Whatever the policy, a rollback
 * displaces queued deployments and cancels a running one unless it is already switching, and only another rollback displaces it.
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

const flat = (settings: ServiceSettings | null): Record<string, unknown> => {
  const { extra, ...others } = settings ?? { extra: {} }
  return { ...others, ...extra }
}

/** Differences between two deployments: in the commit and in each setting. */
export function changesBetween(
  current: { commitHash: string | null; settings: ServiceSettings | null } | null,
  next: { commitHash: string | null; settings: ServiceSettings | null },
): PlanChange[] {
  const changes: PlanChange[] = []
  if (current?.commitHash !== next.commitHash) {
    changes.push({ kind: 'COMMIT', key: 'commit', from: current?.commitHash ?? null, to: next.commitHash })
  }
  if (!next.settings) return changes
  const [before, after] = [flat(current?.settings ?? null), flat(next.settings)]
  for (const key of Object.keys(after).sort()) {
    const [from, to] = [shown(before[key]), shown(after[key])]
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
  /** Whether required configuration is missing. */
  configUnresolved?: boolean
}

/** Reasons that a deployment can't be rolled back to. Empty if it can. */
export function rollbackBlockers(target: RollbackFacts): { code: BlockerCode; message: string }[] {
  const codes: BlockerCode[] = []
  if (target.serviceDeleted) codes.push('SERVICE_DELETED')
  if (target.liveAt === null) codes.push('NEVER_LIVE')
  else if (target.status === 'LIVE') codes.push('ALREADY_LIVE')
  else if (!target.hasRelease) codes.push('ARTIFACT_EXPIRED')
  if (target.configUnresolved) codes.push('CONFIG_UNRESOLVED')
  return codes.map((code) => ({ code, message: blockerTexts[code] }))
}

/** Why a step failed, as shown to users. */
export type Failure = { code: DeploymentFailureCode; message: string; hint: string | null; exitCode: number | null }
