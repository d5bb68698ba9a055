/** The settings of a service: the rules for each of them, and its default. */
import { z } from 'zod'
import type { WebService } from '../../../generated/prisma/client.ts'
import { nameSchema, optionalText, slugSchema } from '../../../platform/name.ts'
import { splitRepositoryUrl, validateBranch, validateRepositoryUrl } from '../../../platform/repository-url.ts'
import { defineRowSettings } from '../../../platform/row-settings.ts'
import type { App } from '../../../platform/work.ts'

const validated = (validate: (text: string) => string | null) =>
  z.string().superRefine((text, context) => {
    const reason = validate(text)
    if (reason) context.addIssue({ code: 'custom', message: reason })
  })

const command = optionalText(4_096)

/** A path within the repository, with `/` as separator. */
const path = optionalText(500)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are refused
  .regex(/^[^\u0000-\u001f\\]+$/, { error: 'must be a path whose parts are separated by /' })
  .refine((text) => !text.startsWith('/') && !text.split('/').includes('..'), { error: 'must stay inside the repository' })

/** A container image, such as `nginx:1.27` or `registry.example.com/team/app@sha256:…`. */
const imageRef = optionalText(500).regex(/^[\w][\w.:/@-]*$/, {
  error: 'must be the name of a container image, such as nginx:1.27, with a registry, tag or digest if it needs one',
})

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

const port = z.number().int().min(1, { error: 'must be from 1 to 65535' }).max(65_535, { error: 'must be from 1 to 65535' })

const shutdownGrace = z.number().int().min(0).max(600_000, { error: 'must be at most 600000' })

const repositoryUrl = validated((text) => validateRepositoryUrl(splitRepositoryUrl(text).url))

/** Columns of a service that are not settings of its builds and instances. */
type OtherColumn =
  | 'id'
  | 'organizationId'
  | 'projectId'
  | 'environmentId'
  | 'name'
  | 'slug'
  | 'kind'
  | 'repositoryCredential'
  | 'sshKeyId'
  | 'desiredState'
  | 'generation'
  | 'version'
  | 'createdAt'
  | 'updatedAt'

export type SettingColumns = Omit<WebService, OtherColumn>

export const serviceSettings = defineRowSettings<SettingColumns>({
  sourceType: { schema: z.enum(['GIT', 'IMAGE']), default: 'GIT' },
  /** Credentials in the URL are stored separately, in `repositoryCredential`. */
  repositoryUrl: { schema: repositoryUrl, default: null },
  branch: { schema: validated(validateBranch), default: 'main' },
  autoDeploy: { schema: z.boolean(), default: false },
  imageRef: { schema: imageRef, default: null },
  dockerfilePath: { schema: path, default: null },
  rootDirectory: { schema: path, default: null },
  buildCommand: { schema: command, default: null },
  releaseCommand: { schema: command, default: null },
  startCommand: { schema: command, default: null },
  publishDirectory: { schema: path, default: null },
  singlePage: { schema: z.boolean(), default: false },
  port: { schema: port, default: null },
  healthCheckPath: { schema: httpPath, default: null },
  minInstances: { schema: instances, default: 1 },
  maxInstances: { schema: instances, default: (_program, { minInstances }) => minInstances },
  queuePolicy: { schema: z.enum(['QUEUE_LATEST', 'QUEUE_ALL', 'REJECT']), default: 'QUEUE_LATEST' },
  buildTimeoutMs: { schema: milliseconds(4 * 3_600_000), default: ({ settings }) => settings.BUILD_TIMEOUT_MS },
  healthTimeoutMs: { schema: milliseconds(3_600_000), default: ({ settings }) => settings.VERIFY_TIMEOUT_MS },
  shutdownGraceMs: { schema: shutdownGrace, default: ({ settings }) => settings.SHUTDOWN_GRACE_MS },
})

/** Settings that only services of one kind have, by name. */
export type ExtraSettings = { [name: string]: string | number | boolean | string[] | null }

/** The settings of a service as a deployment pins them. They apply to its build and instances even if the service is changed later. */
export type ServiceSettings = SettingColumns & Pick<WebService, 'kind'> & { extra?: ExtraSettings }

export const settingsOf = (service: WebService): ServiceSettings => ({ kind: service.kind, ...serviceSettings.of(service) })

/** The settings that a deployment pinned. A setting that did not exist then has its default. */
export const pinnedSettings = (app: App, stored: unknown): ServiceSettings => {
  const { extra, ...pinned } = stored as Partial<SettingColumns> & Pick<ServiceSettings, 'kind' | 'extra'>
  return { kind: pinned.kind, ...serviceSettings.values(app, pinned), ...(extra ? { extra } : {}) }
}

/** Includes ODOO, which the commands refuse with a reason. */
export const kindSchema = z.enum(['WEB', 'STATIC_SITE', 'WORKER', 'ODOO'])

export const createWebServiceSchema = serviceSettings.input.extend({
  projectId: z.string().nullish(),
  environmentId: z.string().nullish(),
  /** Without `environmentId`: the project's oldest environment of this type, which is created if there is none. */
  environmentType: z.enum(['PRODUCTION', 'STAGING', 'DEVELOPMENT']).nullish(),
  serverId: z.string().nullish(),
  sshKeyId: z.string().nullish(),
  name: nameSchema,
  slug: slugSchema.nullish(),
  kind: kindSchema.nullish(),
})

export const updateWebServiceSchema = serviceSettings.input.extend({
  sshKeyId: z.string().nullish(),
  name: nameSchema.optional(),
  slug: slugSchema.optional(),
  kind: kindSchema.optional(),
})
