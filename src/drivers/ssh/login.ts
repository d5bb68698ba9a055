/** How a client logs in: with the one credential that it has, at most once by each method that can use it. */
import type { AnyAuthMethod, AuthenticationType, ParsedKey } from 'ssh2'

export type Credential = { password: string } | { key: ParsedKey }

type Login = {
  /** The next attempt, after an answer with the methods that the server would accept; null before the first one. False: none is left. */
  next(accepted: readonly AuthenticationType[] | null, isPartial: boolean | null): AnyAuthMethod | false
  /** Why no attempt succeeded, for users. */
  refusal(): string
}

export function createLogin(username: string, credential: Credential): Login {
  const tried = new Set<AuthenticationType>()
  let offered: readonly AuthenticationType[] = []
  let isPartial = false
  const attempt = (method: AnyAuthMethod) => {
    tried.add(method.type)
    return method
  }
  return {
    next(accepted, partial) {
      offered = accepted ?? []
      isPartial = partial === true
      if ('key' in credential) return tried.size === 0 ? attempt({ type: 'publickey', username, key: credential.key }) : false
      const { password } = credential
      if (tried.size === 0) return attempt({ type: 'password', username, password })
      // Many servers ask for the password only in this way. A server that accepts passwords otherwise has refused this one.
      const asks = offered.includes('keyboard-interactive') && !offered.includes('password') && !tried.has('keyboard-interactive')
      if (!asks || isPartial) return false
      return attempt({
        type: 'keyboard-interactive',
        username,
        prompt: (_name, _instructions, _lang, prompts, finish) => finish(isPasswordPrompt(prompts) ? [password] : []),
      })
    },
    refusal() {
      const what = 'key' in credential ? 'key' : 'password'
      if (isPartial)
        return `The server accepts the ${what} of ${username}, but demands another login method in addition: ${listOf(offered)}.`
      const usable: AuthenticationType[] = 'key' in credential ? ['publickey'] : ['password', 'keyboard-interactive']
      if (!offered.some((method) => usable.includes(method)))
        return `The server accepts no ${what} for ${username}. It accepts ${listOf(offered) || 'nothing'}.`
      return `The server refused the ${what} of ${username}.`
    },
  }
}

/** One hidden answer. Anything else, such as a one-time password beside it, is not answered. */
const isPasswordPrompt = (prompts: readonly { echo?: boolean }[]): boolean => prompts.length === 1 && prompts[0]!.echo !== true

/** The names come from the server. */
const listOf = (methods: readonly string[]): string =>
  methods
    .filter((method) => /^[a-z0-9@.-]{1,40}$/.test(method))
    .slice(0, 8)
    .join(', ')
