import { definePort } from '../../../platform/port.ts'

/** Where services on this machine reach the API. */
export type EmailApi = {
  /** Without a slash at the end. */
  readonly url: string
}

export const emailApi = definePort<EmailApi>('email API')
