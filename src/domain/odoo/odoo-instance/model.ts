/** The settings of Odoo instances, and the rules for them. Pure. */
import { z } from 'zod'
import type { OdooInstance, RuntimeStatus } from '../../../generated/prisma/client.ts'
import { nameSchema, optionalText } from '../../../platform/name.ts'
import { defineRowSettings } from '../../../platform/row-settings.ts'
import { parseLines } from './config.ts'

/** What the password of the database manager is sealed for. */
export const adminIdentity = (id: string) => `odoo_instance:${id}:admin_password`

const nameText = 'Instance name must be between 3 and 64 characters'
export const instanceNameSchema = z
  .string()
  .trim()
  .min(3, { error: nameText })
  .max(64, { error: nameText })
  .pipe(nameSchema as z.ZodType<string, string>)

export const versionSchema = z.string().regex(/^(1[5-9]|[2-9]\d)\.0$/, { error: 'must be a version from 15.0 on, such as 17.0' })

const addonsPath = optionalText(1_000).superRefine((text, context) => {
  for (const path of text.split(',').map((part) => part.trim())) {
    if (/^[^/\\,\s"'$`]+(\/[^/\\,\s"'$`]+)*$/.test(path) && !path.split('/').includes('..')) continue
    const message = 'must be directories within the repository, separated by commas, such as addons,enterprise'
    return context.addIssue({ code: 'custom', message })
  }
})

const config = optionalText(20_000).superRefine((text, context) => {
  const lines = parseLines(text)
  if ('problem' in lines) context.addIssue({ code: 'custom', message: lines.problem })
})

const workers = z.number().int().min(0, { error: 'must be at least 0' }).max(64, { error: 'must be at most 64' })

export type InstanceSettings = Pick<OdooInstance, 'odooVersion' | 'edition' | 'addonsPath' | 'workers' | 'config'>

/** What is chosen with the instance. */
export const createdSettings = defineRowSettings<Pick<InstanceSettings, 'odooVersion' | 'edition'>>({
  odooVersion: { schema: versionSchema, default: '17.0' },
  edition: { schema: z.enum(['COMMUNITY', 'ENTERPRISE']), default: 'COMMUNITY' },
})

/** What can be changed. */
export const instanceSettings = defineRowSettings<Pick<InstanceSettings, 'addonsPath' | 'workers' | 'config'>>({
  addonsPath: { schema: addonsPath, default: null },
  workers: { schema: workers, default: 2 },
  config: { schema: config, default: null },
})

/** Settings that instances have from their start on. The others have an effect on builds. */
export const startSettings = ['workers', 'config'] as const

export type OdooInstanceStatus = 'PROVISIONING' | 'RUNNING' | 'STOPPED' | 'RESTARTING' | 'ERROR' | 'DELETING'

export type StatusFacts = {
  desiredState: 'RUNNING' | 'STOPPED' | 'DELETED'
  runtimeStatus: RuntimeStatus
  /** A deployment has been live. */
  wasLive: boolean
  /** A deployment waits or runs. */
  isDeploying: boolean
  /** An instance gets requests. */
  isRouted: boolean
  /** Instances from before a restart still answer. */
  isRestarting: boolean
  newestFailure: string | null
}

/** What became of an instance, and why it does not run. */
export function statusOf(facts: StatusFacts): { status: OdooInstanceStatus; statusMessage: string | null } {
  const of = (status: OdooInstanceStatus, statusMessage: string | null = null) => ({ status, statusMessage })
  if (facts.desiredState === 'DELETED') return of('DELETING')
  if (!facts.wasLive) {
    if (facts.isDeploying) return of('PROVISIONING')
    return of('ERROR', facts.newestFailure ?? 'The first deployment was cancelled.')
  }
  if (facts.desiredState === 'STOPPED') return of('STOPPED')
  if (facts.runtimeStatus === 'CRASHED')
    return of('ERROR', 'The server exited or does not answer, and is being restarted. See the log of the service.')
  if (!facts.isRouted || facts.isRestarting) return of('RESTARTING')
  return of('RUNNING')
}
