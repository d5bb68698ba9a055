/**
 * The grammar of repository URLs and branch names, without access to network or disk. The domain validates input with it and the git driver
 * uses the same parser, so both agree on the host. Which locations are allowed (file roots, egress) is decided elsewhere.
 */

export type RepositoryCredential = { username: string; password: string }

/** A parsed URL. `remote` is the form that is passed to git; `host` has no brackets. */
export type RepositoryAddress =
  | { transport: 'https' | 'http'; remote: string; origin: string; host: string; port: number }
  | { transport: 'ssh'; remote: string; user: string | null; host: string; port: number; path: string }
  | { transport: 'file'; path: string }

const MAX_URL_LENGTH = 2048
const MAX_BRANCH_BYTES = 255
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/
const SSH_HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/
const SSH_USER = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/
const FORMS = 'use https://, ssh://, git@host:path, or file:///path'

/**
 * Separates `user:token@` (or `token@`, where `username` is the token and `password` is empty) from an http(s) URL. Any other text is returned
 * unchanged, and so are credentials with a control character, which `validateRepositoryUrl` refuses.
 */
export function splitRepositoryUrl(text: string): { url: string; credential: RepositoryCredential | null } {
  const parts = /^(https?:\/\/)([^/?#\\]*)@(.*)$/is.exec(text)
  if (parts === null) return { url: text, credential: null }
  const [, scheme = '', userinfo = '', rest = ''] = parts
  const url = scheme + rest
  if (userinfo === '' || userinfo === ':') return { url, credential: null }
  const colon = userinfo.indexOf(':')
  const username = percentDecoded(colon < 0 ? userinfo : userinfo.slice(0, colon))
  const password = colon < 0 ? '' : percentDecoded(userinfo.slice(colon + 1))
  if (CONTROL.test(username) || CONTROL.test(password)) return { url: text, credential: null }
  return { url, credential: { username, password } }
}

/** Why the text isn't a valid repository URL without credentials (see `splitRepositoryUrl`); null if it is valid. */
export function validateRepositoryUrl(text: string): string | null {
  const parsed = parseRepositoryUrl(text)
  return 'reason' in parsed ? parsed.reason : null
}

/** Why the text isn't a valid branch name by the rules of `git check-ref-format --branch`; null if it is valid. */
export function validateBranch(text: string): string | null {
  if (text === '') return 'the name is empty'
  if (Buffer.byteLength(text) > MAX_BRANCH_BYTES) return `the name is longer than ${MAX_BRANCH_BYTES} bytes`
  if (text.startsWith('-')) return 'the name begins with "-"'
  if (CONTROL.test(text)) return 'the name contains a control character'
  const forbidden = /[ ~^:?*[\\]/.exec(text)
  if (forbidden !== null) return `the name contains "${forbidden[0]}"`
  if (text.includes('..')) return 'the name contains ".."'
  if (text.includes('@{')) return 'the name contains "@{"'
  if (text === '@' || text === 'HEAD') return `"${text}" is not the name of a branch`
  if (text.endsWith('.')) return 'the name ends with "."'
  for (const part of text.split('/')) {
    if (part === '') return 'the name begins or ends with "/", or contains "//"'
    if (part.startsWith('.')) return 'a part of the name begins with "."'
    if (part.endsWith('.lock')) return 'a part of the name ends with ".lock"'
  }
  return null
}

/** Parses a URL, or returns the reason why it is not valid. */
export function parseRepositoryUrl(text: string): RepositoryAddress | { reason: string } {
  if (text === '') return { reason: 'the URL is empty' }
  if (text.length > MAX_URL_LENGTH) return { reason: `the URL is longer than ${MAX_URL_LENGTH} characters` }
  if (text.startsWith('-')) return { reason: 'the URL begins with "-"' }
  if (CONTROL.test(text)) return { reason: 'the URL contains a control character' }
  if (/^[A-Za-z0-9+.-]*::/.test(text)) return { reason: `helper transports such as ext:: are not allowed; ${FORMS}` }
  if (text !== text.trim()) return { reason: 'the URL begins or ends with a space' }
  if (text.startsWith('/')) return { transport: 'file', path: text }

  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]
  if (scheme === undefined) return parseScpLike(text)
  switch (scheme.toLowerCase()) {
    case 'https':
    case 'http':
      return parseHttp(text)
    case 'ssh':
      return parseSsh(text)
    case 'file':
      return parseFile(text)
    default:
      return { reason: `${scheme}:// is not supported; ${FORMS}` }
  }
}

function parseHttp(text: string): RepositoryAddress | { reason: string } {
  if (/[\s\\]/.test(text)) return { reason: 'the URL contains a space or a backslash' }
  const url = URL.parse(text)
  if (url === null) return { reason: 'the URL cannot be parsed' }
  if (url.username !== '' || url.password !== '') return { reason: 'the credentials in the URL cannot be parsed' }
  if (/[?#]/.test(text)) return { reason: 'the URL contains a query or a fragment' }
  if (url.pathname === '/') return { reason: 'the URL names a host but no repository' }
  // curl matches pinned addresses by the name as written, so another spelling of the same host would bypass the pin.
  if (url.hostname.endsWith('.')) return { reason: 'the host in the URL ends with a dot' }
  const transport = url.protocol === 'https:' ? 'https' : 'http'
  const port = url.port === '' ? (transport === 'https' ? 443 : 80) : Number(url.port)
  if (port === 0) return { reason: 'the port is not a number from 1 to 65535' }
  return { transport, remote: url.href, origin: url.origin, host: withoutBrackets(url.hostname), port }
}

function parseSsh(text: string): RepositoryAddress | { reason: string } {
  const parts = /^ssh:\/\/(?:([^@/]*)@)?(\[[0-9A-Fa-f:.]+\]|[^:/[\]]+)(?::(\d{1,5}))?(\/.*)$/i.exec(text)
  if (parts === null) return { reason: 'the URL cannot be parsed: it should look like ssh://git@host/path' }
  const [, user = null, host = '', port = '22', path = ''] = parts
  return sshAddress({ remote: text, user, host, port: Number(port), path })
}

function parseScpLike(text: string): RepositoryAddress | { reason: string } {
  const parts = /^([^@/:]+)@(\[[0-9A-Fa-f:.]+\]|[^:/[\]]+):(.+)$/.exec(text)
  if (parts === null) return { reason: `the URL has no supported scheme; ${FORMS}` }
  const [, user = '', host = '', path = ''] = parts
  return sshAddress({ remote: text, user, host, port: 22, path })
}

function sshAddress(parts: {
  remote: string
  user: string | null
  host: string
  port: number
  path: string
}): RepositoryAddress | { reason: string } {
  const { remote, user, port, path } = parts
  if (/\s/.test(remote)) return { reason: 'the URL contains a space' }
  if (user?.includes(':')) return { reason: 'a password in an ssh URL is not supported; use an https URL with a token' }
  if (user !== null && !SSH_USER.test(user)) return { reason: 'the user in the URL cannot be parsed' }
  if (!parts.host.startsWith('[') && !SSH_HOST.test(parts.host)) return { reason: 'the host in the URL cannot be parsed' }
  if (port < 1 || port > 65535) return { reason: 'the port is not a number from 1 to 65535' }
  if (path === '/' || path.replace(/^\/+/, '').startsWith('-')) return { reason: 'the path in the URL cannot be parsed' }
  return { transport: 'ssh', remote, user, host: withoutBrackets(parts.host), port, path }
}

function parseFile(text: string): RepositoryAddress | { reason: string } {
  const path = percentDecoded(text.slice('file://'.length))
  if (!path.startsWith('/')) return { reason: 'a file URL must begin with three slashes: file:///path' }
  if (CONTROL.test(path)) return { reason: 'the URL contains a control character' }
  return { transport: 'file', path }
}

function withoutBrackets(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}

/** Text with invalid percent-encoding is returned unchanged. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
