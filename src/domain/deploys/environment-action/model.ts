/** Actions on an environment: what they do to its services, and what becomes of the parts. */
import { z } from 'zod'
import { refSchema } from '../deployment/index.ts'

/** Name of the command and of its operations. */
export const operationName = 'runEnvironmentAction'

export const environmentActions = ['DEPLOY', 'REDEPLOY', 'START', 'STOP', 'RESTART', 'UPDATE_MODULES'] as const
export type EnvironmentAction = (typeof environmentActions)[number]

export const moduleUpdateModes = ['PULL_RESTART', 'UPDATE_ALL', 'UPDATE_SPECIFIC', 'REINITIALIZE_SPECIFIC'] as const
export type ModuleUpdateMode = (typeof moduleUpdateModes)[number]

/** What a deployment of an Odoo service was asked to do with modules. When it was asked nothing, it updates those that have changed. */
export type ModuleUpdateRequest = { mode: ModuleUpdateMode; modules: string[] }

const namesModules: readonly unknown[] = ['UPDATE_SPECIFIC', 'REINITIALIZE_SPECIFIC']

const moduleName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, { error: 'must be the technical name of an Odoo module' })

export const actionInput = z
  .object({
    action: z.enum(environmentActions),
    branch: refSchema.nullish(),
    commit: refSchema.nullish(),
    updateModules: z.boolean().nullish(),
    mode: z.enum(moduleUpdateModes).nullish(),
    modules: z.array(moduleName).max(200, { error: 'must have at most 200 items' }).nullish(),
  })
  .superRefine(({ action, branch, commit, updateModules, mode, modules }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (action !== 'DEPLOY' && branch) refuse('branch', 'can only be given with DEPLOY')
    if (action !== 'DEPLOY' && commit) refuse('commit', 'can only be given with DEPLOY')
    if (action !== 'DEPLOY' && action !== 'REDEPLOY' && updateModules) refuse('updateModules', 'can only be given with DEPLOY or REDEPLOY')
    if (action === 'UPDATE_MODULES' && !mode) refuse('mode', 'is required to update modules')
    if (action !== 'UPDATE_MODULES' && mode) refuse('mode', 'can only be given to update modules')
    if (namesModules.includes(mode) && !modules?.length) refuse('modules', 'must name at least one module in this mode')
  })

export type ActionInput = z.infer<typeof actionInput>

/** A service that an action concerns, with its name when the action began. */
export type ConcernedService = { id: string; name: string }

/** The `input` of an operation. */
export type StoredInput = { action: EnvironmentAction; services: ConcernedService[] }

/** The part of an action that concerns one service, as it was observed. */
export type Part =
  | { state: 'open'; stepsCompleted: number; doing: string }
  | { state: 'done' | 'cancelled'; stepsCompleted: number }
  | { state: 'failed'; stepsCompleted: number; reason: string }
