/** The cookies of a browser that is signed in. Scripts can't read them, and other sites can't send them with anything but links. */
import type { SignedIn } from '../../domain/access/session/index.ts'
import { accessCookie, cookieOf } from '../../platform/credential.ts'
import { originSeenBy } from '../../platform/own-origin.ts'
import type { AnswerHeaders, Visit } from '../core/index.ts'

const refreshCookie = 'refresh_token'
const refreshPath = '/api/auth'

export function signedInCookies({ accessToken, refreshToken, expiresIn, refreshExpiresIn }: SignedIn, visit: Visit): AnswerHeaders {
  return {
    'set-cookie': [
      cookie(visit, accessCookie, accessToken, '/', expiresIn),
      cookie(visit, refreshCookie, refreshToken, refreshPath, refreshExpiresIn),
    ],
  }
}

export const signedOutCookies = (visit: Visit): AnswerHeaders => ({
  'set-cookie': [cookie(visit, accessCookie, '', '/', 0), cookie(visit, refreshCookie, '', refreshPath, 0)],
})

/** The refresh token of a browser. */
export const refreshTokenOf = ({ raw }: Visit): string | null =>
  raw.headers.cookie === undefined ? null : cookieOf(raw.headers.cookie, refreshCookie)

function cookie({ app, raw }: Visit, name: string, value: string, path: string, seconds: number): string {
  const isSecure = app.settings.PUBLIC_URL?.startsWith('https:') || originSeenBy(app, raw).startsWith('https:')
  return `${name}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
}
