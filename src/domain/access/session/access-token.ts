/** Access tokens: JWTs that name a user and a session. What they are worth is decided at each use. */
import { hash } from 'node:crypto'
import { perApp } from '../../../platform/per-app.ts'
import type { App } from '../../../platform/work.ts'
import { signingKey, verifyingKey } from './signing-key.ts'

const algorithm = 'EdDSA'
export const audience = 'quayside'

/** The address of this installation, which every process of it must know alike. */
export const issuerOf = ({ settings }: App): string => settings.PUBLIC_URL?.replace(/\/+$/, '') ?? 'quayside'

export type Claims = { sub: string; exp: number; [claim: string]: unknown }

const loadJose = () => import('jose')

/** Signs a token. */
export async function signToken(
  app: App,
  claims: { sub: string; [claim: string]: unknown },
  seconds: number,
  aud = audience,
): Promise<string> {
  const [{ SignJWT }, { id, privateKey }] = await Promise.all([loadJose(), signingKey(app)])
  const now = Math.floor(app.clock.now().getTime() / 1_000)
  return new SignJWT({ ...claims, iss: issuerOf(app), aud, iat: now, exp: now + seconds })
    .setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: id })
    .sign(privateKey)
}

/** The claims of a token. Null unless this installation signed it for the audience and it has not expired. */
export async function verifyToken(app: App, text: string, aud = audience): Promise<Claims | null> {
  const { jwtVerify, errors } = await loadJose()
  try {
    const { payload } = await jwtVerify(
      text,
      async ({ kid }) => {
        const key = typeof kid === 'string' ? await verifyingKey(app, kid) : null
        if (!key) throw new errors.JWSInvalid('unknown key')
        return key
      },
      {
        algorithms: [algorithm],
        issuer: issuerOf(app),
        audience: aud,
        requiredClaims: ['sub', 'iat', 'exp'],
        currentDate: app.clock.now(),
      },
    )
    return payload as Claims
  } catch (error) {
    if (error instanceof errors.JOSEError) return null
    throw error
  }
}

/** Whether a text has the form of a JWT. No API key contains a dot. */
export const isToken = (text: string): boolean => text.startsWith('eyJ') && text.split('.', 4).length === 3

/** Whether a token says that it has expired, which tells its holder to refresh it. Its signature is not checked. */
export function isExpiredToken(app: App, text: string): boolean {
  if (!isToken(text)) return false
  try {
    const { exp } = JSON.parse(Buffer.from(text.split('.')[1]!, 'base64url').toString()) as Partial<Claims>
    return typeof exp === 'number' && exp * 1_000 <= app.clock.now().getTime()
  } catch {
    return false
  }
}

const mostVerified = 10_000

/** As `verifyToken` for access tokens, but verifies the signature of each only once. */
export function verifiedClaims(app: App, text: string): Claims | Promise<Claims | null> {
  const known = verified(app)
  const key = hash('sha256', text, 'base64')
  const claims = known.get(key)
  if (claims && claims.exp * 1_000 > app.clock.now().getTime()) return claims
  known.delete(key)
  return verifyToken(app, text).then((found) => {
    if (!found) return null
    if (known.size >= mostVerified) known.delete(known.keys().next().value!)
    known.set(key, found)
    return found
  })
}

const verified = perApp(() => new Map<string, Claims>())
