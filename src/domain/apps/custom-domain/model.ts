import { randomBytes } from 'node:crypto'

/** Of one service. Each host is an entry in the table of every router. */
export const maxDomains = 20

export const newToken = (): string => randomBytes(20).toString('hex')
