/** Takes a credential, and the driver's own paths, out of text that is shown. */
import type { RepositoryRef } from '../../domain/deploys/deployment/ports.ts'

export function createRedactor(credential: RepositoryRef['credential'], folder: string): (text: string) => string {
  const secrets = credential === null ? [] : secretForms(credential)
  return (text) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '[redacted]'), text).replaceAll(folder, '[source]')
}

/** Longest first: a form may hold another one. */
function secretForms({ username, password }: { username: string; password: string }): string[] {
  // A token may stand in the place of the user name, with no password beside it.
  const plain = password === '' ? username : password
  const basic = Buffer.from(`${username}:${password}`)
  const forms = [
    plain,
    encodeURIComponent(plain),
    Buffer.from(plain).toString('base64'),
    basic.toString('base64'),
    basic.toString('base64url'),
  ]
  return [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length)
}
