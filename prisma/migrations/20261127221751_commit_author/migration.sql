-- AlterTable
ALTER TABLE "deployment" ADD COLUMN     "commit_author" TEXT;
