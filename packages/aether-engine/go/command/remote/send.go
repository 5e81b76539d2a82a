package remote

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
)

// sendPath copies a file or folder as it is. Where a folder goes depends on a slash at its end:
//
//	source | path is a folder      | path does not exist  | path is a file
//	dir    | path/dir              | path/dir             | error
//	dir/   | path/x for x in dir   | path/x for x in dir  | error
//	file   | path/file             | path                 | path, overwritten
func sendPath(files *sftp.Client, source, target string) error {
	local, err := os.Stat(source)
	if err != nil {
		return err
	}
	remote, err := stat(files, target)
	if err != nil {
		return err
	}
	if !local.IsDir() {
		switch {
		case remote == nil:
			if err := makeParents(files, target); err != nil {
				return err
			}
		case remote.IsDir():
			target = path.Join(target, filepath.Base(source))
		}
		return sendFile(files, source, target)
	}
	if !strings.HasSuffix(source, "/") {
		target = path.Join(target, filepath.Base(source))
	}
	return sendFolder(files, source, target)
}

func sendFolder(files *sftp.Client, source, target string) error {
	return fs.WalkDir(os.DirFS(source), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		remotePath := path.Join(target, name)
		if !entry.IsDir() {
			return sendFile(files, filepath.Join(source, name), remotePath)
		}
		existing, err := stat(files, remotePath)
		if err != nil {
			return err
		}
		if existing != nil && !existing.IsDir() {
			return fmt.Errorf("remote path %s exists but is not a directory", remotePath)
		}
		if err := files.MkdirAll(remotePath); err != nil {
			return fmt.Errorf("failed to create remote directory %s: %w", remotePath, err)
		}
		return nil
	})
}

func sendText(files *sftp.Client, content, target string) error {
	existing, err := stat(files, target)
	if err != nil {
		return err
	}
	if existing != nil && existing.IsDir() {
		return fmt.Errorf("remote path %s is a directory; when using a text asset, remotePath must be a file path", target)
	}
	if err := makeParents(files, target); err != nil {
		return err
	}
	return write(files, strings.NewReader(content), target)
}

func sendFile(files *sftp.Client, source, target string) error {
	local, err := os.Open(source)
	if err != nil {
		return err
	}
	defer local.Close()
	return write(files, local, target)
}

func write(files *sftp.Client, content io.Reader, target string) error {
	remote, err := files.Create(target)
	if err != nil {
		return fmt.Errorf("failed to create remote file %s: %w", target, err)
	}
	_, err = io.Copy(remote, content)
	// A full disk may be reported by the close only.
	if err := errors.Join(err, remote.Close()); err != nil {
		return fmt.Errorf("failed to write remote file %s: %w", target, err)
	}
	return nil
}

func makeParents(files *sftp.Client, target string) error {
	if err := files.MkdirAll(path.Dir(target)); err != nil {
		return fmt.Errorf("failed to create parent directories for %s: %w", target, err)
	}
	return nil
}

// stat is nil where there is nothing.
func stat(files *sftp.Client, target string) (fs.FileInfo, error) {
	info, err := files.Stat(target)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to stat remote path %s: %w", target, err)
	}
	return info, nil
}
