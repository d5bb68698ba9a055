/**
 * The operation that removes an organization. Each concept removes what it keeps (`organizationContents`); this is the order: pass after pass
 * over the contents of a phase, from the top floor down, until all of them are done. Each step is a transaction that also records the
 * progress, so that another process continues wherever one was killed.
 */
import type { Operation } from '../../../generated/prisma/client.ts'
import { DomainError } from '../../../platform/errors.ts'
import type { App, Work } from '../../../platform/work.ts'
import type { OperationStep, OperationType } from '../operation/index.ts'
import {
  lockForRemoval,
  type OrganizationContents,
  organizationContents,
  type Removal,
  type RemovalPhase,
  removeOrganization,
} from '../organization/index.ts'
import { operationName } from './model.ts'

type Progress = {
  phase: 'objects' | 'records' | 'end'
  /** The next of the phase's contents in this pass. */
  next: number
  /** Contents of this pass that are not done. */
  open: number
  /** Names of all contents that have been done once. */
  done: string[]
  waitMs: number
}

/** Time until the next pass, which doubles as long as nothing changes. */
const firstWaitMs = 100
const longestWaitMs = 2_000

const start: Progress = { phase: 'objects', next: 0, open: 0, done: [], waitMs: firstWaitMs }

const contentsOf = (app: App, ...phases: RemovalPhase[]): OrganizationContents[] =>
  phases.flatMap((phase) =>
    organizationContents
      .of(app)
      .filter((contents) => contents.phase === phase)
      .toReversed(),
  )

export const removalOperation: OperationType = { type: operationName, run: removeSome, retryable: true }

async function removeSome(work: Work, operation: Operation): Promise<OperationStep> {
  const progress = (operation.progress as Progress | null) ?? start
  const contents = contentsOf(work.app, 'objects', 'records')
  const { next, ...after } = progress.phase === 'end' ? await end(work, progress) : await advance(work, progress)
  return {
    stepsCompleted: next === 'done' ? contents.length + 1 : after.progress.done.length,
    totalSteps: contents.length + 1,
    progress: after.progress,
    next,
  }
}

type Advance = { progress: Progress; next: OperationStep['next'] }

/** Lets one concept remove something, or goes on to the next pass or phase. */
async function advance(work: Work, progress: Progress): Promise<Advance> {
  const { phase, next, open, done, waitMs } = progress
  const contents = contentsOf(work.app, phase as RemovalPhase)
  const present = contents[next]
  if (present) {
    const removal = await remove(work, present)
    if (removal === 'more') return { progress: { ...progress, waitMs: firstWaitMs }, next: 0 }
    if (removal === 'waiting') return { progress: { ...progress, next: next + 1, open: open + 1 }, next: 0 }
    return { progress: { ...progress, next: next + 1, done: [...new Set([...done, present.name])] }, next: 0 }
  }
  if (open > 0) return { progress: { ...progress, next: 0, open: 0, waitMs: Math.min(waitMs * 2, longestWaitMs) }, next: waitMs }
  return { progress: { ...progress, phase: phase === 'objects' ? 'records' : 'end', next: 0, waitMs: firstWaitMs }, next: 0 }
}

/**
 * Deletes the organization itself, with who had access to it. Not before every request has ended that was authenticated before the deletion,
 * and only if nothing is left of the other phases: what such a request has added meanwhile is removed first.
 */
async function end(work: Work, progress: Progress): Promise<Advance> {
  const organization = await lockForRemoval(work)
  if (!organization) return { progress, next: 'done' }
  if (organization.endsInMs > 0) return { progress, next: organization.endsInMs }
  for (const contents of contentsOf(work.app, 'objects', 'records'))
    if ((await remove(work, contents)) !== 'done') return { progress: { ...start, done: progress.done }, next: firstWaitMs }
  for (const contents of contentsOf(work.app, 'access')) await remove(work, contents)
  await removeOrganization(work)
  work.wake('credentials')
  work.app.log.info({ organizationId: organization.id, slug: organization.slug }, 'an organization was deleted')
  return { progress, next: 'done' }
}

/** A refusal would fail the operation for good. As another error, it is logged and the step repeated. */
async function remove(work: Work, { name, emits = [], remove: removeSome }: OrganizationContents): Promise<Removal> {
  try {
    return await removeSome({ ...work, emits })
  } catch (error) {
    if (error instanceof DomainError) throw new Error(`${name} of an organization could not be removed`, { cause: error })
    throw error
  }
}
