/** Rules of servers. Pure. */
import { isIP } from 'node:net'
import { z } from 'zod'
import type { Server, ServerStatus } from '../../../generated/prisma/client.ts'
import { mask } from '../../../platform/mask.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { HostKey, Inspection, SshFailureCode } from './ports.ts'

/** What the sealed column is sealed for. */
export const credentialIdentity = (id: string) => `server:${id}:credential`

/** Wake-up topic: a server may be due for a check. */
export const serversTopic = 'servers'

/** A row without its sealed value, as results contain it. */
export type ServerRow = Omit<Server, 'credential'>

export const shown = ({ credential, ...server }: Server): ServerRow => server

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i
const isHost = (host: string) => isIP(host) !== 0 || (host.length <= 253 && host.split('.').every((part) => label.test(part)))

const hostSchema = z
  .string()
  .transform((host) => host.toLowerCase())
  .refine(isHost, { error: 'must be a host name or an IP address, without a scheme, a port or brackets' })

const textSchema = (max: number) =>
  z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(max, { error: `must be at most ${max} characters` })
    .regex(/^\P{Cc}*$/u, { error: 'must not contain control characters' })

const maxKeyLength = 16_384

const credentialFields = {
  authMethod: z.enum(['PASSWORD', 'PRIVATE_KEY']),
  sshPassword: textSchema(1_000)
    .refine((password) => password !== mask, { error: 'must not be the mask of a secret' })
    .nullish(),
  sshPrivateKey: z
    .string()
    .max(maxKeyLength, { error: `must be at most ${maxKeyLength} characters` })
    .nullish(),
}

const place = { host: hostSchema, port: z.int().min(1).max(65_535), sshUser: textSchema(100) }

type Credentials = {
  authMethod?: 'PASSWORD' | 'PRIVATE_KEY' | null | undefined
  sshPassword?: string | null | undefined
  sshPrivateKey?: string | null | undefined
}

const isAbsent = (value: unknown) => value === null || value === undefined

/** Exactly the credential of the method is given. */
function demandOne({ authMethod, sshPassword, sshPrivateKey }: Credentials, { addIssue }: z.RefinementCtx): void {
  const wants = { sshPassword: authMethod === 'PASSWORD', sshPrivateKey: authMethod === 'PRIVATE_KEY' }
  for (const [field, value] of Object.entries({ sshPassword, sshPrivateKey }) as [keyof typeof wants, unknown][]) {
    if (wants[field] && isAbsent(value)) addIssue({ code: 'custom', path: [field], message: `is required with authMethod ${authMethod}` })
    if (!wants[field] && !isAbsent(value))
      addIssue({
        code: 'custom',
        path: [field],
        message: authMethod ? `must be omitted with authMethod ${authMethod}` : 'requires authMethod',
      })
  }
}

export const createServerSchema = z
  .object({ name: nameSchema, ...place, port: place.port.default(22), ...credentialFields })
  .superRefine(demandOne)

export const updateServerSchema = z
  .object({
    name: nameSchema.nullish(),
    host: hostSchema.nullish(),
    port: place.port.nullish(),
    sshUser: place.sshUser.nullish(),
    ...credentialFields,
    authMethod: credentialFields.authMethod.nullish(),
  })
  .superRefine(demandOne)

export const fingerprintSchema = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/, { error: 'must be SHA256: and 43 characters of base64' })

export const pinnedKeyOf = ({ hostKeyType, hostKeyFingerprint }: Server): HostKey | null =>
  hostKeyType === null || hostKeyFingerprint === null ? null : { type: hostKeyType, fingerprint: hostKeyFingerprint }

/** Consecutive failed checks after which an active server counts as lost. */
const failuresUntilLost = 3
const longestWaitMs = 3_600_000

/** Events of a check, in order. */
export type CheckEvent = 'active' | 'failed' | 'lost' | 'recovered' | 'host_key_changed'

export type Judgement = {
  status: ServerStatus
  failures: number
  /** Time until the next check, in milliseconds. */
  waitMs: number
  events: CheckEvent[]
}

/**
 * What a check means for a server. Somebody waits for a validation, so that its outcome is the status. A regular check that fails is repeated
 * first, except after a changed host key, which does not pass.
 */
export function judge(server: Server, { failure, hostKey }: Inspection, everyMs: number): Judgement {
  const wasLost = server.lostAt !== null
  if (failure === null) {
    const events: CheckEvent[] = server.validatedAt === null ? ['active'] : wasLost ? ['recovered'] : []
    return { status: 'ACTIVE', failures: 0, waitMs: everyMs, events }
  }
  const failures = server.failures + 1
  const isChanged = failure.code === 'HOST_KEY_CHANGED'
  const isRepeated = server.status === 'ACTIVE' && !isChanged && failures < failuresUntilLost
  if (isRepeated) return { status: 'ACTIVE', failures, waitMs: everyMs, events: [] }
  const events: CheckEvent[] = []
  if (isChanged && hostKey?.fingerprint !== server.presentedHostKeyFingerprint) events.push('host_key_changed')
  if (server.validatedAt === null) {
    if (server.status !== 'ERROR') events.push('failed')
  } else if (!wasLost) events.push('lost')
  return { status: 'ERROR', failures, waitMs: waitAfter(failure.code, failures, everyMs), events }
}

/** Doubles with each failure, up to an hour. A wrong login is not repeated sooner, because hosts shut out those who repeat it. */
const waitAfter = (code: SshFailureCode, failures: number, everyMs: number): number =>
  code === 'LOGIN_REFUSED'
    ? Math.max(everyMs, longestWaitMs)
    : Math.max(everyMs, Math.min(everyMs * 2 ** Math.min(failures - 1, 20), longestWaitMs))
