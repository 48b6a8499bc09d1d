//! Foreign layers: content that a registry need not hold, and that its descriptor says where to get
//! (image spec, "Non-Distributable Layers").

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Method, StatusCode};
use oci::{Descriptor, Verifier};
use url::Url;

use crate::answer::{Opened, content_length};
use crate::blob_read::BlobReader;
use crate::error::{Error, ErrorKind, Failure};
use crate::redirect;
use crate::repository::RepositoryClient;
use crate::request::Request;

impl RepositoryClient {
    /// A layer's content from one of its `urls`, checked against its digest and size; none where
    /// none of them has it.
    ///
    /// Whoever wrote the manifest chose the URLs. So only https is spoken, no credential is shown to
    /// anyone but the registry itself, and no address inside a network is gone to.
    ///
    /// # Errors
    /// [`Error`], that of the last URL, where none has the layer and at least one would not say.
    pub async fn read_elsewhere(&self, layer: &Descriptor) -> Result<Option<BlobReader>, Error> {
        let mut problem = None;
        for url in &layer.urls {
            match self.open_elsewhere(url, layer).await {
                Ok(Some(opened)) => return Ok(Some(self.checked(opened, layer))),
                Ok(None) => {}
                Err(failure) => problem = Some(failure),
            }
        }
        problem.map_or(Ok(None), |failure| Err(Error::new(self.reading_elsewhere(layer), failure)))
    }

    async fn open_elsewhere(
        &self,
        url: &str,
        layer: &Descriptor,
    ) -> Result<Option<Opened>, Failure> {
        let url = redirect::foreign(self.endpoint.base().await?, url)?;
        let request = Request::new(Method::GET, url, self.pull()).following().bulk();
        let opened = match self.endpoint.open(&request).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            result => result?,
        };
        match content_length(opened.response.headers()) {
            Some(size) if size != layer.size => Err(Failure::new(
                ErrorKind::Content,
                format!("`{}` has {size} bytes of it, not {}", opened.server, layer.size),
            )),
            _ => Ok(Some(opened)),
        }
    }

    /// The last piece is given out only when all is well with the whole. Content that breaks off is
    /// not gone on with: what is not a registry may know no ranges.
    fn checked(&self, opened: Opened, layer: &Descriptor) -> BlobReader {
        let asked = self.reading_elsewhere(layer);
        let size = layer.size;
        let verifier = Verifier::new(layer.digest, Some(size));
        let state = (opened, verifier, None::<Bytes>);
        let content = stream::try_unfold(Some(state), move |state| {
            let asked = asked.clone();
            async move {
                let Some((mut opened, mut verifier, mut held)) = state else { return Ok(None) };
                let wrong = |mismatch: oci::Mismatch| {
                    Error::new(
                        asked.clone(),
                        Failure::new(ErrorKind::Content, mismatch.to_string()),
                    )
                };
                loop {
                    let piece = opened.piece().await;
                    match piece.map_err(|failure| Error::new(asked.clone(), failure))? {
                        Some(piece) => {
                            verifier.update(&piece).map_err(wrong)?;
                            if let Some(ready) = held.replace(piece) {
                                return Ok(Some((ready, Some((opened, verifier, held)))));
                            }
                        }
                        None => {
                            verifier.finish().map_err(wrong)?;
                            return Ok(held.map(|last| (last, None)));
                        }
                    }
                }
            }
        });
        BlobReader::new(Some(size), content.boxed())
    }

    fn reading_elsewhere(&self, layer: &Descriptor) -> String {
        let hosts: Vec<String> = layer
            .urls
            .iter()
            .map(|url| Url::parse(url).map_or_else(|_| "?".to_owned(), |url| oci::shown_url(&url)))
            .collect();
        format!(
            "reading the foreign layer {} of `{}` from {}",
            layer.digest,
            self.name(),
            hosts.join(", ")
        )
    }
}
