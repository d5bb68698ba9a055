/** Credentials of the installation itself, which must not appear in any log. */
import { readFileSync } from 'node:fs'
import { masterKeyFile } from '../../../platform/master-key.ts'
import type { App } from '../../../platform/work.ts'
import type { SecretValue } from '../log/index.ts'

/** Values of fewer characters are not redacted: too many lines contain them by chance. */
const minLength = 8

export function platformCredentials({ settings }: App): SecretValue[] {
  const { DATABASE_URL, EGRESS_PROXY, SVIX_TOKEN } = settings
  const urls = [DATABASE_URL, EGRESS_PROXY].flatMap((url) => (url ? [new URL(url.reveal())] : []))
  const values = [
    ...masterKeyLines(settings).map((line) => line.slice(line.indexOf(':') + 1).trim()),
    ...(SVIX_TOKEN ? [SVIX_TOKEN.reveal()] : []),
    // Kept percent-encoded: the redactor decodes them.
    ...urls.flatMap(({ username, password }) => (password ? [password, `${username}:${password}`] : [])),
  ]
  return values.filter((value) => value.length >= minLength).map((value) => ({ key: 'platform', value }))
}

/** Read on every call, because a rotation adds a key while servers run. A missing file has no key to redact. */
function masterKeyLines(settings: App['settings']): string[] {
  const { MASTER_KEYS } = settings
  if (MASTER_KEYS) return MASTER_KEYS.reveal().split(',')
  try {
    return readFileSync(masterKeyFile(settings), 'utf8').split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
