/** Ends streams and sockets whose credential was revoked, expired or narrowed while they were open. */
import type { Caller } from '../platform/access.ts'
import type { Authenticated, PresentedCredential } from '../platform/credential.ts'
import { DomainError } from '../platform/errors.ts'
import { createFailureLog } from '../platform/failure-log.ts'
import type { App } from '../platform/work.ts'

/** The caller that a credential stands for, or null if it is not valid. Throws DomainError if the organization that it names is not the caller's. */
export type Authenticate = (credential: PresentedCredential) => Authenticated

export type CredentialWatch = {
  /** Calls back once, when the credential is no longer valid or has lost a permission. Returns a function that stops watching. */
  follow(credential: PresentedCredential, caller: Caller, onLost: () => void): () => void
  close(): void
}

type Follower = { caller: Caller; onLost: () => void }
type Followed = { credential: PresentedCredential; followers: Set<Follower> }

/** Verifies every followed credential again at the wake-up `credentials` and every `everyMs`, once for all followers of a credential. */
export function watchCredentials(app: App, authenticate: Authenticate, everyMs: number): CredentialWatch {
  const followed = new Map<string, Followed>()
  const failures = createFailureLog(
    app,
    {
      failed: 'the credential of an open stream could not be verified again',
      recovered: 'the credentials of open streams can be verified again',
    },
    'warn',
  )
  let looking = false
  let again = false

  const lookAtAll = async () => {
    again = true
    if (looking) return
    looking = true
    // Lets the other listeners of this wake-up clear their credential caches first.
    await Promise.resolve()
    while (again) {
      again = false
      for (const each of [...followed.values()]) await lookAt(each)
    }
    looking = false
  }
  const lookAt = async ({ credential, followers }: Followed) => {
    try {
      const present = await presentCaller(authenticate, credential)
      failures.succeeded()
      for (const follower of [...followers]) if (lost(follower.caller, present)) follower.onLost()
    } catch (err) {
      // Streams stay open if the credential can't be verified; it is tried again soon.
      failures.failed(err)
    }
  }

  const off = app.wake.on('credentials', () => void lookAtAll())
  const timer = setInterval(() => void lookAtAll(), everyMs)
  timer.unref()

  return {
    follow(credential, caller, onLost) {
      const key = `${credential.organization ?? ''} ${credential.text}`
      const known = followed.get(key) ?? { credential, followers: new Set() }
      followed.set(key, known)
      const end = () => {
        known.followers.delete(follower)
        if (known.followers.size === 0 && followed.get(key) === known) followed.delete(key)
      }
      const follower: Follower = {
        caller,
        onLost() {
          end()
          onLost()
        },
      }
      known.followers.add(follower)
      return end
    },
    close() {
      off()
      clearInterval(timer)
    },
  }
}

/** Null also if the credential is refused for the organization that it names. */
export async function presentCaller(authenticate: Authenticate, credential: PresentedCredential): Promise<Caller | null> {
  try {
    return await authenticate(credential)
  } catch (error) {
    if (error instanceof DomainError && ['unauthenticated', 'forbidden', 'not_found'].includes(error.kind)) return null
    throw error
  }
}

/** Whether access to a project was lost. */
const narrowed = (before: Caller['projectIds'], present: Caller['projectIds']): boolean =>
  present !== null && (before === null || before.some((id) => !present.includes(id)))

/** Also true if a permission was lost or the scope was narrowed. */
function lost(before: Caller, present: Caller | null): boolean {
  if (!present || present.organizationId !== before.organizationId || narrowed(before.projectIds, present.projectIds)) return true
  for (const permission of before.permissions) if (!present.permissions.has(permission)) return true
  return false
}
