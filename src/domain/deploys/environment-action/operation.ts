/** The operation of an action: it only observes, because the command has already begun all parts. So any process can continue it. */
import type { Operation } from '../../../generated/prisma/client.ts'
import { DomainError } from '../../../platform/errors.ts'
import type { Work } from '../../../platform/work.ts'
import type { OperationStep, OperationType } from '../../access/operation/index.ts'
import { cancelOfOperation, deploymentEvents } from '../deployment/index.ts'
import { observeDeployments, stepsPerDeployment } from './deploying.ts'
import { type EnvironmentAction, operationName, type Part, type StoredInput } from './model.ts'
import { observeServices, type RunAction } from './running.ts'

/** Delay between two looks at the progress. */
const lookAgainMs = 500

export const actionOperation: OperationType = {
  type: operationName,
  emits: [deploymentEvents.cancelled],
  run: observe,
  cancel: { permission: 'deploy:web_services', run: cancel },
}

const isDeploying = (stored: StoredInput): boolean => !isRunning(stored.action)
const isRunning = (action: EnvironmentAction): action is RunAction => action === 'START' || action === 'STOP' || action === 'RESTART'

const storedInput = ({ input }: Operation): StoredInput => input as StoredInput

async function observe(work: Work, operation: Operation): Promise<OperationStep> {
  const stored = storedInput(operation)
  const { services } = stored
  const parts = await partsOf(work, operation, stored)
  const progress = {
    stepsCompleted: parts.reduce((sum, { stepsCompleted }) => sum + stepsCompleted, 0),
    totalSteps: services.length * (isDeploying(stored) ? stepsPerDeployment : 1),
    progress: null,
  }
  const open = parts.find((part) => part.state === 'open')
  if (open) return { ...progress, currentStep: open.doing, next: lookAgainMs }
  const failures = parts.flatMap((part, index) => (part.state === 'failed' ? `${services[index]!.name}: ${part.reason}` : []))
  if (failures.length > 0) throw new DomainError('action_failed', 'unprocessable', failures.join(' '))
  return { ...progress, next: parts.some(({ state }) => state === 'cancelled') ? 'cancelled' : 'done' }
}

const partsOf = (work: Work, operation: Operation, { action, services }: StoredInput): Promise<Part[]> =>
  isRunning(action) ? observeServices(work, operation, action, services) : observeDeployments(work, operation.id, services)

/** Cancels the deployments. Services that have been told to start or stop keep their desired state and are just no longer observed. */
async function cancel(work: Work, operation: Operation): Promise<'cancelled' | 'cancelling' | 'too late'> {
  if (!isDeploying(storedInput(operation))) return 'cancelled'
  return (await cancelOfOperation(work, operation.id)) > 0 ? 'cancelling' : 'too late'
}
