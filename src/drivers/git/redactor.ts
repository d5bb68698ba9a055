/** Removes a credential and the driver's own paths from text to be shown. */
import type { RepositoryRef } from '../../domain/deploys/deployment/ports.ts'

export function createRedactor(credential: RepositoryRef['credential'], folder: string): (text: string) => string {
  const secrets = credential === null ? [] : secretForms(credential)
  return (text) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '[redacted]'), text).replaceAll(folder, '[source]')
}

/** Longest first, because a form may contain another one. */
function secretForms({ username, password }: { username: string; password: string }): string[] {
  // A token may be given as the user name, without a password.
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
