-- AlterTable
ALTER TABLE "user_account" ADD COLUMN     "email_confirmed_at" TIMESTAMPTZ(3);
