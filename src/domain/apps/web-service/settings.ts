/** What a service can be told: the rules of each setting, and its default. */
import { z } from 'zod'
import { nameSchema, optionalText, slugSchema } from '../../../platform/name.ts'
import { splitRepositoryUrl, validateBranch, validateRepositoryUrl } from '../../../platform/repository-url.ts'

const judged = (judge: (text: string) => string | null) =>
  z.string().superRefine((text, context) => {
    const reason = judge(text)
    if (reason) context.addIssue({ code: 'custom', message: reason })
  })

const command = optionalText(4_096)

/** A directory below the root of the repository, '/' separated. */
const directory = optionalText(500)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .regex(/^[^\u0000-\u001f\\]+$/, { error: 'must be a path whose parts are separated by /' })
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), { error: 'must stay inside the repository' })

const httpPath = optionalText(2_000).regex(/^\/[\u0021-\u007e]*$/, {
  error: 'must begin with / and contain only printable ASCII characters',
})

const instances = z.number().int().min(1, { error: 'must be at least 1' }).max(20, { error: 'must be at most 20' })
const milliseconds = (max: number) =>
  z
    .number()
    .int()
    .min(100, { error: 'must be at least 100' })
    .max(max, { error: `must be at most ${max}` })

export const repositoryUrlSchema = judged((text) => validateRepositoryUrl(splitRepositoryUrl(text).url))

/** Absent: kept (update) or the default (create). Null: cleared, or back to the default. An empty text is refused. */
export const settingsSchema = z.object({
  repositoryUrl: repositoryUrlSchema.nullish(),
  branch: judged(validateBranch).nullish(),
  rootDirectory: directory.nullish(),
  buildCommand: command.nullish(),
  releaseCommand: command.nullish(),
  startCommand: command.nullish(),
  publishDirectory: directory.nullish(),
  singlePage: z.boolean().nullish(),
  port: z.number().int().min(1, { error: 'must be from 1 to 65535' }).max(65_535, { error: 'must be from 1 to 65535' }).nullish(),
  healthCheckPath: httpPath.nullish(),
  minInstances: instances.nullish(),
  maxInstances: instances.nullish(),
  queuePolicy: z.enum(['QUEUE_LATEST', 'QUEUE_ALL', 'REJECT']).nullish(),
  buildTimeoutMs: milliseconds(4 * 3_600_000).nullish(),
  healthTimeoutMs: milliseconds(3_600_000).nullish(),
  shutdownGraceMs: z.number().int().min(0).max(600_000, { error: 'must be at most 600000' }).nullish(),
})

/** The kinds that can be asked for; ODOO is refused by the commands, with its reason. */
export const kindSchema = z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO'])

export const createWebServiceSchema = settingsSchema.extend({
  projectId: z.string().nullish(),
  environmentId: z.string().nullish(),
  /** Without `environmentId`: the project's first environment of this type, made where it is missing. */
  environmentType: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).nullish(),
  name: nameSchema,
  slug: slugSchema.nullish(),
  kind: kindSchema.nullish(),
})

export type SettingsInput = z.infer<typeof settingsSchema>
