/** Credentials of the installation itself, which must not appear in any log. */
import { readFileSync } from 'node:fs'
import { masterKeyFile } from '../../../platform/master-key.ts'
import { keysOf, Secret } from '../../../platform/settings.ts'
import type { App } from '../../../platform/work.ts'
import type { SecretValue } from '../log/index.ts'

/** Values of fewer characters are not redacted: too many lines contain them by chance. */
const minLength = 8

export function platformCredentials({ settings }: App): SecretValue[] {
  const secrets = Object.values(settings).filter((value) => value instanceof Secret)
  const values = [...secrets.flatMap((secret) => secret.credentials()), ...(settings.MASTER_KEYS ? [] : keysOfFile(settings))]
  return values.filter((value) => value.length >= minLength).map((value) => ({ key: 'platform', value }))
}

/** Read on every call, because a rotation adds a key while servers run. A missing file has no key to redact. */
function keysOfFile(settings: App['settings']): string[] {
  try {
    return keysOf(readFileSync(masterKeyFile(settings), 'utf8').split('\n'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
