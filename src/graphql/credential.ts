/**
 * Where a credential stands in a request, and whether it still holds while a stream that it opened is open. What a credential is
 * worth is not known here: `authenticate` says it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from '../platform/access.ts'
import { reportFailure } from '../platform/outage.ts'
import type { App } from '../platform/work.ts'

/** The caller behind a credential's text; null when there is none. */
export type Authenticate = (credential: string) => Promise<Caller | null>

/** Of HTTP headers: Authorization wins over X-API-Key, also when it is the bad one. */
export function credentialOfHeaders(headers: IncomingHttpHeaders): string | null {
  if (headers.authorization !== undefined) return bearer(headers.authorization)
  const key = headers['x-api-key']
  return typeof key === 'string' && key !== '' ? key : null
}

/** Of a WebSocket's connectionParams, names in any case; undefined when they name none, so that the upgrade's headers count. */
export function credentialOfParams(params: Readonly<Record<string, unknown>> | undefined): string | null | undefined {
  const named = new Map(Object.entries(params ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
  if (named.has('authorization')) return bearer(named.get('authorization'))
  const key = named.has('apikey') ? named.get('apikey') : named.get('x-api-key')
  if (key === undefined) return undefined
  return typeof key === 'string' && key !== '' ? key : null
}

const bearer = (text: unknown) => (typeof text === 'string' ? (/^Bearer +(\S+) *$/i.exec(text)?.[1] ?? null) : null)

export type CredentialWatch = {
  /** Calls back once, when the credential doesn't hold any more or has lost a right. Returns the end of it. */
  follow(credential: string, caller: Caller, onLost: () => void): () => void
  close(): void
}

type Follower = { caller: Caller; onLost: () => void }

/** Looks at every followed credential again at the wake-up `credentials` and each `everyMs`; one look for all that share a credential. */
export function watchCredentials(app: App, authenticate: Authenticate, everyMs: number): CredentialWatch {
  const followed = new Map<string, Set<Follower>>()
  let looking = false
  let again = false

  const lookAtAll = async () => {
    again = true
    if (looking) return
    looking = true
    // Everybody else who is woken by this forgets first what he knew of the credentials.
    await Promise.resolve()
    while (again) {
      again = false
      for (const [credential, followers] of [...followed]) await lookAt(credential, followers)
    }
    looking = false
  }
  const lookAt = async (credential: string, followers: Set<Follower>) => {
    try {
      const present = await authenticate(credential)
      for (const follower of [...followers]) if (lost(follower.caller, present)) follower.onLost()
    } catch (err) {
      // Without an answer nobody is sent away; the next look comes soon.
      reportFailure(app, err, 'the credential of an open stream could not be verified again', {}, 'warn')
    }
  }

  const off = app.wake.on('credentials', () => void lookAtAll())
  const timer = setInterval(() => void lookAtAll(), everyMs)
  timer.unref()

  return {
    follow(credential, caller, onLost) {
      const followers = followed.get(credential) ?? new Set()
      followed.set(credential, followers)
      const end = () => {
        followers.delete(follower)
        if (followers.size === 0 && followed.get(credential) === followers) followed.delete(credential)
      }
      const follower: Follower = {
        caller,
        onLost() {
          end()
          onLost()
        },
      }
      followers.add(follower)
      return end
    },
    close() {
      off()
      clearInterval(timer)
    },
  }
}

/** A right that was lost, or a narrower scope, counts: what was opened with it must not go on. */
function lost(before: Caller, present: Caller | null): boolean {
  if (!present || present.organizationId !== before.organizationId || present.projectId !== before.projectId) return true
  for (const permission of before.permissions) if (!present.permissions.has(permission)) return true
  return false
}
